package simnet

import (
	"math"
	"math/rand/v2"
	"time"
)

// Latency draws the one-way delay of a packet.
type Latency func(r *rand.Rand) time.Duration

// Fixed is always d.
func Fixed(d time.Duration) Latency { return func(*rand.Rand) time.Duration { return d } }

// Uniform is between lo and hi.
func Uniform(lo, hi time.Duration) Latency {
	return func(r *rand.Rand) time.Duration {
		if hi <= lo {
			return lo
		}
		return lo + time.Duration(r.Int64N(int64(hi-lo)))
	}
}

// Exponential is lo and an exponential part with that mean: many short delays, few long ones.
func Exponential(lo, mean time.Duration) Latency {
	return func(r *rand.Rand) time.Duration { return lo + time.Duration(r.ExpFloat64()*float64(mean)) }
}

// LogNormal has that median; sigma is the standard deviation of its logarithm:
// 0.5 is a good network, 1.5 one with a long tail. It ends at a thousand medians.
func LogNormal(median time.Duration, sigma float64) Latency {
	return func(r *rand.Rand) time.Duration {
		return time.Duration(float64(median) * min(math.Exp(r.NormFloat64()*sigma), 1000))
	}
}

// LinkConfig describes one direction between two hosts.
type LinkConfig struct {
	// Latency of a packet; nil means Uniform(100 µs, 300 µs), and Fixed(10 µs) from a host to itself.
	Latency Latency
	// Bandwidth in bytes per second, shared by all connections of the direction,
	// which wait in line; 0: unlimited.
	Bandwidth float64
}

// link is one direction between two hosts, by their names.
type link struct {
	cfg  LinkConfig
	rand *rand.Rand
	free time.Duration // when the line is free again
}

type linkKey struct{ from, to string }

// delay is how long size bytes sent now are under way.
func (l *link) delay(now time.Duration, size int) time.Duration {
	d := l.cfg.Latency(l.rand)
	if l.cfg.Bandwidth > 0 {
		l.free = max(l.free, now) + time.Duration(float64(size+headerSize)/l.cfg.Bandwidth*float64(time.Second))
		d += l.free - now
	}
	return d
}

// headerSize is what a packet takes of a bandwidth besides its bytes.
const headerSize = 64

// SetLink sets the properties of the direction between two hosts, by their names.
func (n *Network) SetLink(from, to string, cfg LinkConfig) {
	l := n.link(from, to)
	if cfg.Latency == nil {
		cfg.Latency = n.defaultLatency(from, to)
	}
	l.cfg = cfg
}

func (n *Network) defaultLatency(from, to string) Latency {
	if from == to {
		return Fixed(10 * time.Microsecond)
	}
	return n.cfg.Link.Latency
}

func (n *Network) link(from, to string) *link {
	k := linkKey{from, to}
	l := n.links[k]
	if l == nil {
		l = &link{cfg: n.cfg.Link, rand: split(n.seed, "link "+from+" "+to)}
		if from == to {
			l.cfg = LinkConfig{}
		}
		l.cfg.Latency = n.defaultLatency(from, to)
		n.links[k] = l
	}
	return l
}
