package report

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// Text writes the report for a terminal: environment, a table for each scenario, the
// targets and the notes.
func Text(w io.Writer, r *Report) error {
	if err := r.Environment.Write(w); err != nil {
		return err
	}
	if r.Partial != "" {
		if _, err := fmt.Fprintf(w, "PARTIAL: %s\n", r.Partial); err != nil {
			return err
		}
	}
	if _, err := fmt.Fprintf(w, "%s; the ratio is to %s in the same round\n\n", r.effort(), r.Reference); err != nil {
		return err
	}
	if err := TextTables(w, r.Rows); err != nil {
		return err
	}
	fmt.Fprintln(w, "\nTargets")
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	judged, unjudged := judgedOf(r.Rows)
	for _, x := range judged {
		fmt.Fprintf(t, "%s\t%s\t%s\twanted %s\tis %s\n", x.Verdict, x.Against, x.What, x.Want, x.Got)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if len(unjudged) > 0 {
		fmt.Fprintf(w, "%d more %s not measured\n", len(unjudged), isAre(len(unjudged)))
	}
	pictures, err := Pictures(r.Rows, r.Reference)
	if err != nil {
		return err
	}
	for _, p := range pictures {
		if _, err := fmt.Fprintf(w, "\n%s: %s\n", p.Title, p.Answer); err != nil {
			return err
		}
	}
	for _, n := range r.Notes {
		if _, err := fmt.Fprintf(w, "\nnote: %s\n", n); err != nil {
			return err
		}
	}
	return nil
}

func isAre(n int) string {
	if n == 1 {
		return "is"
	}
	return "are"
}

// where says in one line where and when it was measured, and how much.
func (r *Report) where() string {
	e := &r.Environment
	return fmt.Sprintf("%s, %d cores of %s, load average %s at the start; %s; ratios are to %s",
		e.Date, e.Cores, e.CPU, e.Load, r.effort(), r.Reference)
}

// effort says how much was measured.
func (r *Report) effort() string {
	s := fmt.Sprintf("%d round%s of %s", r.Rounds, plural(r.Rounds), r.seconds())
	if r.Took > 0 {
		s += fmt.Sprintf(", %.0f s in all", r.Took.Seconds())
	}
	return s
}

// seconds is how long a measurement takes: "0.5 s" or "0.1 to 0.3 s".
func (r *Report) seconds() string {
	if r.SecondsMax > r.Seconds {
		return fmt.Sprintf("%v to %v s", r.Seconds, r.SecondsMax)
	}
	return fmt.Sprintf("%v s", r.Seconds)
}

// TextTables writes the rows as text, a table for each scenario.
func TextTables(w io.Writer, rows []Row) error {
	for i, t := range Tables(rows, "") {
		if i > 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintf(w, "%s: %s\n", t.Scenario, t.About)
		out := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
		fmt.Fprintf(out, "contestant\t%s\t\n", strings.Join(t.Columns, "\t"))
		var trouble []string
		for _, l := range t.Lines {
			if l.Cells != nil {
				fmt.Fprintf(out, "%s\t%s\t\n", l.Contestant, strings.Join(l.Cells, "\t"))
			}
			if l.Trouble != "" {
				trouble = append(trouble, fmt.Sprintf("  %s %s\n", l.Contestant, l.Trouble))
			}
		}
		if err := out.Flush(); err != nil {
			return err
		}
		if _, err := io.WriteString(w, strings.Join(trouble, "")); err != nil {
			return err
		}
	}
	return nil
}
