package report

import (
	_ "embed"
	"html/template"
	"io"
)

//go:embed page.tmpl
var pageText string

var page = template.Must(template.New("page").Parse(pageText))

// HTML writes the report as one page that needs nothing else: styles and plots are in
// it, and there are no scripts.
func HTML(w io.Writer, r *Report) error {
	pictures, err := Pictures(r.Rows, r.Reference)
	if err != nil {
		return err
	}
	figures, err := Figures(r.Rows, r.Reference)
	if err != nil {
		return err
	}
	targets := Targets(r.Rows)
	counts := map[Verdict]int{}
	var judged, unjudged []Target
	for _, t := range targets {
		counts[t.Verdict]++
		if t.Verdict == NotMeasured {
			unjudged = append(unjudged, t)
		} else {
			judged = append(judged, t)
		}
	}
	light, dark := themes()
	return page.Execute(w, map[string]any{
		"Title": title, "Report": r, "Environment": r.Environment.Fields(), "Method": method(r), "Effort": r.effort(),
		"Tables": Tables(r.Rows, r.Reference), "Figures": figures, "Overview": Overview(r.Rows), "Judged": judged, "Unjudged": unjudged,
		"Pictures": pictures, "CephNote": cephNote, "Light": light, "Dark": dark,
		"Reached": counts[Reached], "NotReached": counts[NotReached], "NotMeasured": counts[NotMeasured],
	})
}
