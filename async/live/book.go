package live

import (
	"net/netip"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/connection"
)

// book knows whose messengers are here, by name and by address.
type book struct {
	messengers []*async.Messenger
	names      map[entity.Name]bool
	addrs      map[netip.AddrPort]entity.Name
}

func newBook(ms []*async.Messenger) *book {
	b := &book{messengers: ms, names: map[entity.Name]bool{}, addrs: map[netip.AddrPort]entity.Name{}}
	for _, m := range ms {
		b.names[m.Name()] = true
		for _, a := range m.Addrs() {
			b.addrs[a.AddrPort] = m.Name()
		}
	}
	return b
}

// peer is who a connection is with. One that has not said its name yet is known by its address,
// if it is here.
func (b *book) peer(s *connection.ConnStats) entity.Name {
	if s.Peer.Num < 0 {
		for _, a := range s.Addrs {
			if n, ok := b.addrs[a.AddrPort]; ok {
				return n
			}
		}
	}
	return s.Peer
}

// has says whether a messenger of that name is here.
func (b *book) has(name string) bool {
	n, err := entity.ParseName(name)
	return err == nil && b.names[n]
}
