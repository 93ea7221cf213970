package simnet

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/eventloop"
	"github.com/stretchr/testify/require"
)

var seeds = flag.Int("seeds", 50, "how many seeds TestManySeedsTwice runs")

var someAddrs = func() (all []netip.Addr) {
	for a := netip.MustParseAddr("10.1.0.1"); len(all) < 10; a = a.Next() {
		all = append(all, a)
	}
	return all
}()

func addrPort(h *Host) netip.AddrPort { return netip.AddrPortFrom(h.Addr(), 80) }

// tangle is a run of a few hosts with everything random in it.
func tangle(seed uint64, bystander bool) (uint64, *Network) {
	rnd := rand.New(rand.NewPCG(seed, 1))
	cfg := Config{Window: 500 << rnd.IntN(8), ShortWrites: rnd.IntN(5), Asleep: rnd.IntN(4), Framer: framed}
	cfg.Link.Samples = []time.Duration{1e5, 2e5, 5e5, 1e6, 3e5}
	if rnd.IntN(2) == 0 {
		cfg.Link = LinkConfig{Latency: LogNormal(time.Millisecond, 1), Bandwidth: 1e7, Queue: 5000}
	}
	n := New(seed, cfg)
	if bystander {
		n.AddHost("bystander", HostConfig{Workers: 3, Addrs: someAddrs[9:]})
	}
	var names []string
	var ends []*end
	gate := NewGate("gate")
	listen := func(h *Host) {
		_, _ = h.Listen(addrPort(h), eventloop.ListenConfig{Backlog: 2}, func(s eventloop.Socket) {
			e := &end{w: h.Pick()}
			e.t = e.w.Adopt(s, e)
			ends = append(ends, e)
		})
	}
	for i := range 4 {
		names = append(names, fmt.Sprint("host", i))
		listen(n.AddHost(names[i], HostConfig{
			Workers: 1 + rnd.IntN(3), ClockDrift: time.Duration(rnd.IntN(2e6) - 1e6), Addrs: someAddrs[i : i+1],
		}))
	}
	host := func() *Host { return n.Host(names[rnd.IntN(len(names))]) }
	faults := []Rule{
		Groups(names[:1], names[1:2], names[2:]), Isolate(names[0]), OneWay(names[1], names[2]),
		Once(CutAt(100, true, nil)),
		Loss(rand.New(rand.NewPCG(seed, 2)), 0.3),
		func(p *Packet) Verdict { return Deliver(time.Duration(len(p.Data)) * 1000) },
		func(p *Packet) Verdict { return Flip(7) },
		func(p *Packet) Verdict { return gate.Hold() },
	}
	for range 60 {
		switch d := time.Duration(rnd.IntN(20)) * time.Millisecond; rnd.IntN(12) {
		case 0, 1, 2:
			e := &end{w: host().Pick()}
			to := addrPort(host())
			if e.w.Post(eventloop.TaskFunc(func() { e.t = e.w.Dial(to, eventloop.DialConfig{}, e) })) == nil {
				ends = append(ends, e)
			}
		case 3:
			n.AddFor(d, "fault", faults[rnd.IntN(len(faults))])
		case 4:
			if all := n.Conns(); len(all) > 0 {
				c := all[rnd.IntN(len(all))]
				if rnd.IntN(2) == 0 {
					c.Kill()
				} else {
					c.Forget(c.To)
				}
			}
		case 5:
			if h := host(); !h.Down() {
				h.Crash()
				n.After(d, func() { listen(h.Restart()) })
			}
		case 6:
			h := host()
			h.Pause()
			n.After(d, h.Resume)
			h.SetClock(d, d/100)
		case 7:
			gate.ReleaseAll()
		case 8:
			b := n.Break("break", names[1], Op(rnd.IntN(2)), Tag('x'))
			n.After(d, b.Remove)
		default:
			if len(ends) > 0 {
				e := ends[rnd.IntN(len(ends))]
				text := strings.Repeat("x9123456789", 1+rnd.IntN(200))
				send := eventloop.TaskFunc(func() {
					if e.up && e.err == nil {
						e.out = append(e.out, text...)
						e.t.WantFlush()
					}
				})
				if !e.w.(eventloop.Lender).Lend(send) {
					_ = e.w.Post(send)
				}
			}
		}
		_ = n.Run(time.Duration(rnd.IntN(5e6)))
	}
	n.LiftAll()
	for n.Run(time.Second) != nil {
	}
	return n.Hash(), n
}

// The contract: the same seed and the same calls, the same trace; a host more
// changes nothing for the others.
func TestManySeedsTwice(t *testing.T) {
	seen := map[uint64]uint64{}
	if testing.Short() {
		*seeds = min(*seeds, 10)
	}
	for seed := range uint64(*seeds) {
		one, n := tangle(seed, false)
		require.NoError(t, n.Err(), "seed %d", seed)
		two, _ := tangle(seed, false)
		require.Equal(t, one, two, "seed %d", seed)
		three, _ := tangle(seed, true)
		require.Equal(t, one, three, "seed %d with another host", seed)
		other, double := seen[one]
		require.False(t, double, "seeds %d and %d have the same hash", seed, other)
		seen[one] = seed
	}
}

// Hosts and links draw from generators of their own, and so does each life.
func TestGeneratorsDiffer(t *testing.T) {
	n := New(1, Config{})
	a, b := n.AddHost("a", HostConfig{}), n.AddHost("b", HostConfig{})
	seen := map[uint64]bool{}
	draw := func(h *Host) {
		x := h.Rand()
		require.False(t, seen[x])
		seen[x] = true
	}
	draw(a)
	draw(b)
	a.Crash()
	draw(a.Restart())
	draw(New(2, Config{}).AddHost("a", HostConfig{}))
	ab, ba := n.link(a.machine, b.machine), n.link(b.machine, a.machine)
	require.NotEqual(t, ab.rand.Uint64(), ba.rand.Uint64())
}
