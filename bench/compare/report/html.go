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
	counts := map[Verdict]int{}
	judged, unjudged := judgedOf(r.Rows)
	for _, t := range judged {
		counts[t.Verdict]++
	}
	light, dark := themes()
	return page.Execute(w, map[string]any{
		"Title": title, "Report": r, "Environment": r.Environment.Fields(), "Method": method(r),
		"Effort": r.effort(), "Where": r.where(),
		"Tables": Tables(r.Rows, r.Reference), "Figures": figures, "Overview": Overview(r.Rows),
		"Judged": judged, "Unjudged": unjudged,
		"Pictures": pictures, "CephNote": cephNote, "Light": light, "Dark": dark,
		"Reached": counts[Reached], "NotReached": counts[NotReached],
		"NotMeasured": counts[NotMeasured] + len(unjudged),
	})
}
