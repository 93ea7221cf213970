package asynctest

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/asyncmsgr/asyncmsgr/eventloop/simnet"
)

// between stalls everything between two nodes.
func (r *scenarioRun) between(a, b int) simnet.Rule {
	return simnet.Partition([]string{r.host(a)}, []string{r.host(b)})
}

func (r *scenarioRun) pause(a int) error {
	if r.c.Nodes[a].Down {
		return errors.New("it is down")
	}
	r.c.Nodes[a].Host.Pause()
	return nil
}

// randomFaults are those of a faults line.
type randomFaults struct {
	lines uint64 // so far
	made  int
	stop  func() // ends the line that is in force; nil: there is none
}

func (f *randomFaults) end() {
	if f.stop != nil {
		f.stop()
		f.stop = nil
	}
}

// faultKinds are what a faults line can break. What it breaks it mends, after a time from the seed.
var faultKinds = []struct {
	name string
	do   func(r *scenarioRun, rnd *rand.Rand) bool // false: nothing there to break
}{
	{"cut", func(r *scenarioRun, rnd *rand.Rand) bool {
		conns := r.c.Net.Conns()
		if len(conns) == 0 {
			return false
		}
		conn := conns[rnd.IntN(len(conns))]
		r.logf("fault: cut %s %s", r.hostName(conn.From), r.hostName(conn.To))
		r.c.Reset(conn)
		return true
	}},
	{"stall", func(r *scenarioRun, rnd *rand.Rand) bool {
		conns := r.c.Net.Conns()
		if len(conns) == 0 {
			return false
		}
		conn := conns[rnd.IntN(len(conns))]
		d := awhile(rnd)
		r.logf("fault: stall %s %s for %v", r.hostName(conn.From), r.hostName(conn.To), d)
		r.c.AddFor(d, "stalled", simnet.StallConn(conn.ID))
		return true
	}},
	{"pause", func(r *scenarioRun, rnd *rand.Rand) bool {
		a := rnd.IntN(len(r.c.Nodes))
		if r.c.Nodes[a].Host.Paused() || r.pause(a) != nil {
			return false
		}
		d := awhile(rnd)
		r.logf("fault: pause %s for %v", r.name(a), d)
		host := r.c.Nodes[a].Host
		r.c.Net.After(d, host.Resume)
		return true
	}},
	{"kill", func(r *scenarioRun, rnd *rand.Rand) bool {
		a := rnd.IntN(len(r.c.Nodes))
		if r.c.Nodes[a].Down {
			return false
		}
		d := awhile(rnd)
		r.logf("fault: kill %s for %v", r.name(a), d)
		r.c.Kill(a)
		host := r.c.Nodes[a].Host
		r.c.Net.After(d, func() {
			if n := r.c.Nodes[a]; n.Down && n.Host == host { // nobody was faster
				r.c.Restart(a)
			}
		})
		return true
	}},
}

// awhile is how long a fault lasts: from 0.2 to 2 s.
func awhile(rnd *rand.Rand) time.Duration {
	return time.Duration(200+rnd.IntN(1800)) * time.Millisecond
}

// hostName is the name of the node whose host it is.
func (r *scenarioRun) hostName(host string) string { return r.name(r.c.byHost[host]) }

// faultRateMax bounds how many faults a second there may be.
const faultRateMax = 1000

// rate reads how many a second.
func (w word) rate() (mean time.Duration, err error) {
	text, ok := strings.CutSuffix(w.text, "/s")
	f, err := strconv.ParseFloat(text, 64)
	if !ok || err != nil || !(f >= 0.001 && f <= faultRateMax) {
		return 0, w.errorf("%q is neither none nor a rate from 0.001/s to %d/s", w.text, faultRateMax)
	}
	return time.Duration(float64(time.Second) / f), nil
}

func parseFaults(p *scenarioParser) (func(*scenarioRun) error, error) {
	w, err := p.next("a rate such as 2/s, or none")
	if err != nil {
		return nil, err
	}
	if w.text == "none" {
		return func(r *scenarioRun) error { r.faults.end(); return nil }, nil
	}
	mean, err := w.rate()
	if err != nil {
		return nil, err
	}
	kinds := []int{0, 1}
	err = p.options(map[string]func(word) error{"kinds": func(v word) error {
		kinds = nil
		for _, name := range strings.Split(v.text, ",") {
			k := -1
			for i := range faultKinds {
				if faultKinds[i].name == name {
					k = i
				}
			}
			if k < 0 || slices.Contains(kinds, k) {
				return v.errorf("kinds: some of cut, stall, pause and kill, with commas between, not %q", v.text)
			}
			kinds = append(kinds, k)
		}
		return nil
	}})
	return func(r *scenarioRun) error {
		r.faults.begin(r, mean, kinds)
		return nil
	}, err
}

// begin replaces the faults that are in force.
func (f *randomFaults) begin(r *scenarioRun, mean time.Duration, kinds []int) {
	f.end()
	f.lines++
	rnd := r.random("faults ", f.lines)
	ended := false
	f.stop = func() { ended = true }
	var next func()
	next = func() {
		// As often as not before the mean, with whole numbers: they are the same on all processors.
		r.c.Net.After(1+time.Duration(rnd.Int64N(int64(2*mean))), func() {
			if ended {
				return
			}
			if faultKinds[kinds[rnd.IntN(len(kinds))]].do(r, rnd) {
				f.made++
			}
			next()
		})
	}
	next()
}
