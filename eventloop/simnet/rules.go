package simnet

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
)

// Partition stalls everything between two groups of hosts, in both directions.
func Partition(a, b []string) Rule {
	inA, inB := set(a), set(b)
	return func(p *Packet) Verdict {
		if inA[p.From] && inB[p.To] || inB[p.From] && inA[p.To] {
			return Stall()
		}
		return Pass()
	}
}

func set(names []string) map[string]bool {
	m := make(map[string]bool, len(names))
	for _, name := range names {
		m[name] = true
	}
	return m
}

// Groups stalls everything between hosts of different groups. A host in no group
// reaches all; one in two groups is a mistake, and panics.
func Groups(groups ...[]string) Rule {
	of := map[string]int{}
	for i, group := range groups {
		for _, host := range group {
			if other, ok := of[host]; ok && other != i {
				panic(fmt.Sprintf("simnet: %s is in groups %d and %d", host, other, i))
			}
			of[host] = i
		}
	}
	return func(p *Packet) Verdict {
		from, ok1 := of[p.From]
		to, ok2 := of[p.To]
		if ok1 && ok2 && from != to {
			return Stall()
		}
		return Pass()
	}
}

// OneWay stalls what one host sends to another; the other direction works.
func OneWay(from, to string) Rule {
	return func(p *Packet) Verdict {
		if p.From == from && p.To == to {
			return Stall()
		}
		return Pass()
	}
}

// Isolate stalls everything between a host and all others.
func Isolate(host string) Rule {
	return func(p *Packet) Verdict {
		if p.From != p.To && (p.From == host || p.To == host) {
			return Stall()
		}
		return Pass()
	}
}

// StallConn stalls one connection, in both directions: half-open at both ends.
func StallConn(id uint64) Rule {
	return func(p *Packet) Verdict {
		if p.Conn == id {
			return Stall()
		}
		return Pass()
	}
}

// RefuseDials refuses connections to an address; an address without a port means
// all ports.
func RefuseDials(to netip.AddrPort) Rule {
	return func(p *Packet) Verdict {
		if p.Kind == Syn && p.Dst.Addr() == to.Addr() && (to.Port() == 0 || to.Port() == p.Dst.Port()) {
			return Refuse()
		}
		return Pass()
	}
}

// CutAt cuts each connection that match accepts before byte n of what the dialer
// (or the accepting side) sends: the peer gets n bytes and then a reset.
func CutAt(n int64, fromDialer bool, match func(p *Packet) bool) Rule {
	return func(p *Packet) Verdict {
		if p.Kind != Data || p.FromDialer != fromDialer || p.Offset+int64(len(p.Data)) <= n || p.Offset > n ||
			match != nil && !match(p) {
			return Pass()
		}
		return Cut(int(n - p.Offset))
	}
}

// Once is a rule that has an opinion once; it stays in the list without effect.
func Once(r Rule) Rule {
	done := false
	return func(p *Packet) Verdict {
		if done {
			return Pass()
		}
		v := r(p)
		done = v.act != actPass
		return v
	}
}

// Loss loses packets with a probability, as seen above TCP: each time one is lost it
// comes later, by 200 ms at first, then twice that, and so on. rnd should be seeded,
// and belongs to the rule.
func Loss(rnd *rand.Rand, probability float64) Rule {
	return func(*Packet) Verdict {
		later := retransmit
		for k := 0; k < 8 && rnd.Float64() < probability; k++ {
			later *= 2
		}
		if later == retransmit {
			return Pass()
		}
		return Deliver(later - retransmit)
	}
}
