package report

import "fmt"

const title = "asyncmsgr: comparison of messengers"

// method says in five sentences how the figures were made.
func method(r *Report) []string {
	return []string{
		fmt.Sprintf("Server and client of every contestant are processes of their own on one machine, "+
			"over loopback, and are started anew for each of the %d round%s.", r.Rounds, plural(r.Rounds)),
		fmt.Sprintf("The contestants alternate within a round, each round begins with another one, "+
			"and a measurement of %s follows a warm-up.", r.seconds()),
		"A figure is the median over the rounds, the spread is (largest - smallest) / median of the rate.",
		fmt.Sprintf("The ratio is the median over the rounds of rate / rate of %s in the same round (of memory "+
			"where nothing is sent, of p99 with given load or priorities), which is what counts: "+
			"absolute figures move with the machine.", r.Reference),
		"msgs/s counts round trips, CPU is user and system time of both processes, memory, " +
			"goroutines and threads are the server's; what failed or was skipped is shown as such.",
	}
}

// Ratios are all ratios to the reference: a line for each scenario, a column for each
// contestant.
type Ratios struct {
	Columns []string
	Lines   []RatioLine
}

// RatioLine is one scenario. A contestant without a ratio has the cell "-", "failed" or
// "skipped".
type RatioLine struct {
	Scenario string
	Cells    []string
	Values   []float64 // 0: none
}

// Overview returns the ratios of all rows.
func Overview(rows []Row) Ratios {
	o := Ratios{Columns: Contestants(rows)}
	for _, s := range Scenarios(rows) {
		l := RatioLine{Scenario: s, Cells: make([]string, len(o.Columns)), Values: make([]float64, len(o.Columns))}
		for i, c := range o.Columns {
			l.Cells[i] = "-"
			r := find(rows, s, c)
			switch {
			case r == nil || r.Rounds == 0 && r.Partial && r.Failed == "":
			case r.Rounds == 0 && r.Skipped != "" && r.Failed == "":
				l.Cells[i] = "skipped"
			case r.Rounds == 0:
				l.Cells[i] = "failed"
			default:
				l.Cells[i], l.Values[i] = ratio(r.Ratio), r.Ratio
			}
		}
		switch {
		case group(s) == "idle":
			l.Scenario += " (memory)"
		case !rising(s):
			l.Scenario += " (p99)"
		}
		o.Lines = append(o.Lines, l)
	}
	return o
}

func find(rows []Row, scenario, contestant string) *Row {
	for i := range rows {
		if rows[i].Scenario == scenario && rows[i].Contestant == contestant {
			return &rows[i]
		}
	}
	return nil
}
