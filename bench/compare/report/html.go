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
	figures, err := Figures(r.Rows, r.Reference)
	if err != nil {
		return err
	}
	targets := Targets(r.Rows)
	counts := map[Verdict]int{}
	for _, t := range targets {
		counts[t.Verdict]++
	}
	return page.Execute(w, map[string]any{
		"Title": title, "Report": r, "Environment": r.Environment.Fields(), "Method": method(r), "Effort": r.effort(),
		"Tables": Tables(r.Rows, r.Reference), "Figures": figures, "Overview": Overview(r.Rows), "Targets": targets,
		"Reached": counts[Reached], "NotReached": counts[NotReached], "NotMeasured": counts[NotMeasured],
	})
}
