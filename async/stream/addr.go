package stream

import (
	"net"
	"net/netip"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
)

// Addr is the end of a stream, or a listener: a messenger and a service. The net.Addr of a stream
// is an *Addr of its own each time: compare what they print.
type Addr struct {
	Name    entity.Name
	Addrs   entity.AddrVec // read only
	Service string
	// Transport is the end of the socket that carried the session when the address was asked
	// for; zero if there was none, and for listeners.
	Transport netip.AddrPort
}

var _ net.Addr = (*Addr)(nil)

// Network is "msgr".
func (a *Addr) Network() string { return "msgr" }

// String is the first of the addresses that has a port, as "10.0.0.7:7001"; for a messenger
// that is not bound the one of its socket; and its name if there is neither.
func (a *Addr) String() string {
	for _, x := range a.Addrs {
		if x.AddrPort.Port() != 0 {
			return x.AddrPort.String()
		}
	}
	if a.Transport.IsValid() {
		return a.Transport.String()
	}
	return a.Name.String()
}
