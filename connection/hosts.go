package connection

import (
	"container/list"
	"net/netip"
)

// hosts are the handshakes of accepted connections, by the hosts that they come from, so
// that one that has many can be told from one that has few at once, however many there
// are. See docs/decisions/0012-who-comes-with-many-waits-for-itself.md.
type hosts[C any] struct {
	n  int // handshakes
	of map[netip.Addr]*host[C]
	// byNumber[i] are the hosts with i handshakes; the last one is not empty.
	byNumber []*list.List
}

// host is a host with handshakes.
type host[C any] struct {
	addr netip.Addr
	all  list.List     // of C, the oldest first
	at   *list.Element // in byNumber
}

// handshake is where a connection is among the handshakes; nil: it is not.
type handshake[C any] struct {
	host *host[C]
	at   *list.Element
}

func (h *hosts[C]) number(a netip.Addr) int {
	if x := h.of[a]; x != nil {
		return x.all.Len()
	}
	return 0
}

func (h *hosts[C]) add(a netip.Addr, c C) *handshake[C] {
	x := h.of[a]
	if x == nil {
		x = &host[C]{addr: a}
		if h.of == nil {
			h.of = map[netip.Addr]*host[C]{}
		}
		h.of[a] = x
	}
	h.n++
	at := x.all.PushBack(c)
	h.move(x)
	return &handshake[C]{x, at}
}

func (h *hosts[C]) remove(s *handshake[C]) {
	h.n--
	s.host.all.Remove(s.at)
	h.move(s.host)
	if s.host.all.Len() == 0 {
		delete(h.of, s.host.addr)
	}
}

// move puts x where its number says, which has changed by one.
func (h *hosts[C]) move(x *host[C]) {
	n := x.all.Len()
	if x.at != nil {
		for _, i := range [2]int{n - 1, n + 1} {
			if i > 0 && i < len(h.byNumber) {
				h.byNumber[i].Remove(x.at) // that of which it is no element does nothing
			}
		}
		x.at = nil
	}
	if n > 0 {
		for len(h.byNumber) <= n {
			h.byNumber = append(h.byNumber, list.New())
		}
		x.at = h.byNumber[n].PushBack(x)
	}
	for len(h.byNumber) > 0 && h.byNumber[len(h.byNumber)-1].Len() == 0 {
		h.byNumber = h.byNumber[:len(h.byNumber)-1]
	}
}

// heaviest is the host with the most handshakes, of several the one that has had as many
// for longest. There is one.
func (h *hosts[C]) heaviest() *host[C] {
	return h.byNumber[len(h.byNumber)-1].Front().Value.(*host[C])
}

// HostOf is what counts as one host: who has one IPv6 address has the other 2^64 too.
func HostOf(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	if p, err := a.Prefix(64); a.Is6() && err == nil {
		return p.Addr()
	}
	if !a.IsValid() {
		return netip.IPv4Unspecified() // a stack that does not know
	}
	return a
}
