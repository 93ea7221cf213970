package simnet

import (
	"net/netip"
	"slices"
)

// Partition stalls everything between two groups of hosts, in both directions.
func Partition(a, b []string) Rule {
	return func(p *Packet) Verdict {
		if slices.Contains(a, p.From) && slices.Contains(b, p.To) || slices.Contains(b, p.From) && slices.Contains(a, p.To) {
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
		if p.Kind != Data || p.FromDialer != fromDialer || p.Offset+int64(len(p.Data)) <= n || p.Offset > n || match != nil && !match(p) {
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
