package report

import (
	"fmt"
	"io"
	"strings"
)

// Markdown writes the report as one Markdown page.
func Markdown(w io.Writer, r *Report) error {
	var b strings.Builder
	b.WriteString("# " + title + "\n\n")
	if r.Partial != "" {
		fmt.Fprintf(&b, "**Partial: %s.**\n\n", escape(r.Partial))
	}
	fmt.Fprintf(&b, "%s.\n\n", escape(r.where()))
	pictures, err := Pictures(r.Rows, r.Reference)
	if err != nil {
		return err
	}
	for _, p := range pictures {
		fmt.Fprintf(&b, "**%s.** %s\n\n", p.Title, p.Answer)
	}
	if brief := BriefOf(r.Rows); len(brief.Lines) > 0 {
		b.WriteString("## In short\n\n")
		brief.markdown(&b)
		b.WriteString("\n")
	}
	fmt.Fprintf(&b, "## Targets\n\n%s\n\n| against | what | wanted | measured | |\n|---|---|---|---|---|\n", cephNote)
	judged, unjudged := judgedOf(r.Rows)
	for _, t := range judged {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", t.Against, t.What, t.Want, escape(t.Got), t.Verdict)
	}
	if len(unjudged) > 0 {
		fmt.Fprintf(&b, "\n%d more %s not measured.\n", len(unjudged), isAre(len(unjudged)))
	}
	if len(r.Contestants) > 0 {
		b.WriteString("\n## Contestants\n\n")
	}
	for _, c := range r.Contestants {
		fmt.Fprintf(&b, "- **%s**: %s\n", c.Name, c.Sentence())
	}
	fmt.Fprintf(&b, "\n## Ratios to %s\n\n", r.Reference)
	o := Overview(r.Rows)
	fmt.Fprintf(&b, "| scenario | %s |\n|---|%s\n",
		strings.Join(o.Columns, " | "), strings.Repeat("---:|", len(o.Columns)))
	for _, l := range o.Lines {
		fmt.Fprintf(&b, "| %s | %s |\n", l.Scenario, strings.Join(l.Cells, " | "))
	}
	for _, t := range Tables(r.Rows, r.Reference) {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n| contestant | %s |\n|---|%s\n", t.Scenario, t.About,
			strings.Join(t.Columns, " | "), strings.Repeat("---:|", len(t.Columns)))
		for _, l := range t.Lines {
			cells := l.Cells
			if cells == nil {
				cells = make([]string, len(t.Columns))
			}
			name := l.Contestant
			if l.Trouble != "" {
				name += " (" + escape(l.Trouble) + ")"
			}
			fmt.Fprintf(&b, "| %s | %s |\n", name, strings.Join(cells, " | "))
		}
	}
	fmt.Fprintf(&b, "\n## Environment and method\n\n%s\n\n| | |\n|---|---|\n", strings.Join(method(r), " "))
	for _, f := range r.Environment.Fields() {
		fmt.Fprintf(&b, "| %s | %s |\n", f.Name, escape(f.Value))
	}
	fmt.Fprintf(&b, "| measured | %s |\n", r.effort())
	if len(r.Notes) > 0 {
		b.WriteString("\n## Notes\n\n")
		for _, n := range r.Notes {
			fmt.Fprintf(&b, "- %s\n", escape(n))
		}
	}
	_, err = io.WriteString(w, b.String())
	return err
}

// escape keeps text within one cell of a table.
func escape(s string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(s), " "), "|", `\|`)
}
