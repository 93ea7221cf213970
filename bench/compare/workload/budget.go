package workload

import (
	"fmt"
	"time"
)

// RoundsMin is how many rounds a scenario has at least, however little time is left, if
// Config.Rounds are not fewer.
const RoundsMin = 3

// budget gives scenarios fewer rounds where the machine is slower than Estimate thinks.
type budget struct {
	cfg   Config
	began time.Time
	spent time.Duration // of the estimate: for what was run until now
	cut   int           // scenarios that have fewer rounds
	least int           // the fewest of them
}

func newBudget(cfg Config, now time.Time) *budget {
	return &budget{cfg: cfg, began: now, least: cfg.Rounds}
}

// rounds is how many rounds the scenario of that index has, all those before it having
// been run.
func (b *budget) rounds(i int, now time.Time) int {
	rest := b.cfg
	rest.Scenarios = rest.Scenarios[i:]
	n := b.cfg.Rounds
	if b.cfg.Within > 0 {
		n = roundsWithin(n, b.cfg.Within, now.Sub(b.began), b.spent, Estimate(rest))
	}
	if n < b.cfg.Rounds {
		b.cut++
		b.least = min(b.least, n)
	}
	this := b.cfg
	this.Scenarios, this.Rounds = rest.Scenarios[:1], n
	b.spent += Estimate(this)
	return n
}

// note says what was cut, or nothing.
func (b *budget) note() string {
	if b.cut == 0 {
		return ""
	}
	return fmt.Sprintf("%d of %d scenarios have fewer than %d rounds, %d at least, since all were to be measured "+
		"within %v and this machine takes longer than was estimated.",
		b.cut, len(b.cfg.Scenarios), b.cfg.Rounds, b.least, b.cfg.Within)
}

// roundsWithin is how many of so many rounds fit, if what was to take spent took so long
// and all the rest is to take that, of the whole time within.
func roundsWithin(rounds int, within, took, spent, rest time.Duration) int {
	need := float64(rest)
	if spent > 0 {
		need *= max(1, float64(took)/float64(spent))
	}
	fit := rounds
	if left := float64(within - took); need > left {
		fit = int(float64(rounds) * left / need)
	}
	return min(rounds, max(fit, RoundsMin))
}
