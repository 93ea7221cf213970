package simulate

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/asyncmsgr/asyncmsgr/eventloop/simnet"
)

// Faults says how much is broken.
type Faults struct {
	// Given: otherwise the scenario decides.
	Given bool
	// Count of faults, or PerSecond of virtual time if that is not 0.
	Count     int
	PerSecond float64
}

// faultsMax bounds how many faults a run has.
const faultsMax = 100_000

var errFaults = errors.New("faults are a number, such as 20, a rate, such as 5/s, or none")

// ParseFaults reads "20", "5/s" or "none"; "" is the zero value.
func ParseFaults(s string) (Faults, error) {
	switch rate, isRate := strings.CutSuffix(s, "/s"); {
	case s == "":
		return Faults{}, nil
	case s == "none":
		return Faults{Given: true}, nil
	case isRate:
		r, err := strconv.ParseFloat(rate, 64)
		if err != nil || !(r >= 0 && r <= faultsMax) {
			return Faults{}, errFaults
		}
		return Faults{Given: true, PerSecond: r}, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 || n > faultsMax {
		return Faults{}, errFaults
	}
	return Faults{Given: true, Count: n}, nil
}

// faultKind is a way to break things.
type faultKind uint8

const (
	faultKill      faultKind = iota // a connection is reset
	faultCut                        // one is reset at some byte
	faultPartition                  // two groups of nodes do not hear each other
	faultIsolate                    // a node hears nobody
	faultOneWay                     // a node hears, and is not heard
	faultStall                      // a connection is half-open
	faultRefuse                     // dials to a node are refused
	faultFlip                       // a bit is inverted
	faultLate                       // what goes to a node is late
	faultCrash                      // a node's power fails, and it comes back
	faultDeath                      // a node's process dies, and comes back
)

// netFaults are those that break the network alone.
var netFaults = []faultKind{faultKill, faultCut, faultPartition, faultIsolate, faultOneWay, faultStall, faultRefuse,
	faultFlip, faultLate}

// allFaults are netFaults and the ends of nodes.
var allFaults = append([]faultKind{faultCrash, faultDeath}, netFaults...)

// bannerLen is where the bytes begin that a checksum protects.
const bannerLen = 26

// injector breaks things, and counts.
type injector struct {
	w        *world
	rnd      *rand.Rand
	kinds    []faultKind
	happened int
	// victim chooses a node to end; negative: none at the moment. nil: any that runs.
	victim func() int
}

// plan draws the times of all faults.
func (in *injector) plan(w *world) {
	count, kinds := w.s.faults()
	in.w, in.kinds = w, kinds
	in.rnd = rand.New(rand.NewPCG(w.cfg.Seed, 0xFA))
	active := w.s.active()
	if f := w.cfg.Faults; f.Given {
		count = f.Count
		if f.PerSecond > 0 {
			count = min(int(f.PerSecond*active.Seconds()), faultsMax)
		}
	}
	for range count {
		at := active/20 + time.Duration(in.rnd.Int64N(int64(active)*9/10))
		w.net.After(at, in.strike)
	}
}

// heal ends all faults.
func (in *injector) heal() {
	in.w.net.LiftAll()
	for i := range in.w.c.Nodes {
		if in.w.c.Nodes[i].Down {
			in.w.restart(i)
		}
	}
}

// node is any node.
func (in *injector) node() int { return in.rnd.IntN(len(in.w.c.Nodes)) }

func (in *injector) host(i int) string { return in.w.c.Nodes[i].Host.Name() }

// lasts is how long a fault lasts: most often not long.
func (in *injector) lasts() time.Duration {
	return 10*time.Millisecond + time.Duration(in.rnd.Int64N(int64(in.w.s.active())/3))>>in.rnd.IntN(6)
}

// strike breaks something.
func (in *injector) strike() {
	if !in.w.busy {
		return
	}
	net, d := in.w.net, in.lasts()
	what := in.kinds[in.rnd.IntN(len(in.kinds))]
	i := in.node()
	a := in.host(i)
	in.happened++
	switch what {
	case faultKill, faultStall:
		if net.NumConns() == 0 {
			in.happened--
			return
		}
		if c := net.ConnAt(in.rnd.IntN(net.NumConns())); what == faultKill {
			c.Kill()
		} else {
			net.AddFor(d, fmt.Sprintf("stall conn %d", c.ID), simnet.StallConn(c.ID), simnet.AtConn(c))
		}
	case faultCut:
		at, dialer := int64(in.rnd.IntN(1+in.rnd.IntN(3000))), in.rnd.IntN(2) == 0
		net.AddFor(d, "cut",
			simnet.Once(simnet.CutAt(at, dialer, func(p *simnet.Packet) bool { return p.From == a || p.To == a })),
			simnet.AtHost(a))
	case faultPartition:
		net.AddFor(d, "partition", in.partition())
	case faultIsolate:
		net.AddFor(d, "isolate "+a, simnet.Isolate(a), simnet.AtHost(a))
	case faultOneWay:
		net.AddFor(d, "mute "+a, func(p *simnet.Packet) simnet.Verdict {
			if p.From == a && p.To != a {
				return simnet.Stall()
			}
			return simnet.Pass()
		}, simnet.AtHost(a))
	case faultRefuse:
		net.AddFor(d, "refuse "+a, func(p *simnet.Packet) simnet.Verdict {
			if p.Kind == simnet.Syn && p.To == a {
				return simnet.Refuse()
			}
			return simnet.Pass()
		}, simnet.AtHost(a))
	case faultFlip:
		bit := in.rnd.IntN(1 << 20)
		net.AddFor(d, "flip", simnet.Once(func(p *simnet.Packet) simnet.Verdict {
			if p.Kind != simnet.Data || p.Offset < bannerLen {
				return simnet.Pass()
			}
			return simnet.Flip(bit)
		}))
	case faultLate:
		net.AddFor(d, "late "+a, func(p *simnet.Packet) simnet.Verdict {
			if p.To != a {
				return simnet.Pass()
			}
			return simnet.Deliver(d / 4)
		}, simnet.AtHost(a))
	case faultCrash, faultDeath:
		if in.victim != nil {
			i = in.victim()
		}
		if i < 0 || in.w.c.Nodes[i].Down {
			in.happened--
			return
		}
		in.w.crash(i, what == faultCrash)
		net.After(d, func() {
			if in.w.c.Nodes[i].Down {
				in.w.restart(i)
			}
		})
	}
}

// partition parts a random group of nodes from the others.
func (in *injector) partition() simnet.Rule {
	part := make([]bool, len(in.w.c.Nodes)) // nodes have the numbers of their hosts
	for i := range part {
		part[i] = in.rnd.IntN(2) == 0
	}
	return func(p *simnet.Packet) simnet.Verdict {
		if part[p.FromHost] != part[p.ToHost] {
			return simnet.Stall()
		}
		return simnet.Pass()
	}
}
