package simnet

import (
	"math/rand/v2"
	"time"
)

// LinkConfig describes one direction between two hosts.
type LinkConfig struct {
	// Latency of a packet; nil means Uniform(100 µs, 300 µs), and Fixed(10 µs) from a host to itself.
	Latency Latency
	// Samples, if there are any, are used instead of Latency: one after the other,
	// and from the beginning again. Links that have them from Config.Link begin at
	// a place of their own; SetLink begins with the first. They are not copied.
	Samples []time.Duration
	// Bandwidth in bytes per second, shared by all connections of the direction,
	// which wait in line; 0: unlimited.
	Bandwidth float64
	// Queue is how many bytes may wait in line; 0: as many as come. What finds the
	// line full is lost, and TCP sends it again after 200 ms: it is that much later.
	Queue int
}

// retransmit is TCP's shortest time until it sends again.
const retransmit = 200 * time.Millisecond

// link is one direction between two hosts, by their names.
type link struct {
	cfg  *LinkConfig
	pcg  rand.PCG
	rand rand.Rand     // draws from pcg
	next int           // of cfg.Samples
	free time.Duration // when the line is free again
}

// linkKey is made of the numbers of two machines.
type linkKey struct{ from, to uint32 }

// delay is how long size bytes sent now are under way.
func (l *link) delay(now time.Duration, size int) time.Duration {
	var d time.Duration
	if k := len(l.cfg.Samples); k > 0 {
		d = l.cfg.Samples[l.next%k]
		l.next = (l.next + 1) % k
	} else {
		d = max(l.cfg.Latency(&l.rand), 0)
	}
	if l.cfg.Bandwidth > 0 {
		waiting := (l.free - now).Seconds() * l.cfg.Bandwidth
		if l.cfg.Queue > 0 && waiting > 0 && int(waiting)+size > l.cfg.Queue {
			d += retransmit
		}
		l.free = max(l.free, now) + time.Duration(float64(size+headerSize)/l.cfg.Bandwidth*float64(time.Second))
		d += l.free - now
	}
	return d
}

// headerSize is what a packet takes of a bandwidth besides its bytes.
const headerSize = 64

// SetLink sets the properties of the direction between two hosts, by their names;
// they may come later.
func (n *Network) SetLink(from, to string, cfg LinkConfig) {
	a, b := n.machine(from), n.machine(to)
	if cfg.Latency == nil && len(cfg.Samples) == 0 {
		usual := n.usualLink(a, b)
		cfg.Latency, cfg.Samples = usual.Latency, usual.Samples
	}
	l := n.link(a, b)
	l.cfg, l.next = &cfg, 0
}

// usualLink is what the direction is unless SetLink was called.
func (n *Network) usualLink(from, to *machine) *LinkConfig {
	if from == to {
		return &n.local
	}
	return &n.cfg.Link
}

func (n *Network) link(from, to *machine) *link {
	k := linkKey{from.no, to.no}
	l := n.links[k]
	if l == nil {
		l = &link{cfg: n.usualLink(from, to), pcg: *split(n.seed, "link "+from.name+" "+to.name)}
		l.rand = *rand.New(&l.pcg)
		if k := len(l.cfg.Samples); k > 0 {
			l.next = l.rand.IntN(k)
		}
		n.links[k] = l
	}
	return l
}
