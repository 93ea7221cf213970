package stream

import (
	"net"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
)

// Addr is the end of a stream, or a listener: a messenger and a service.
type Addr struct {
	Name    entity.Name
	Addrs   entity.AddrVec // read only
	Service string
}

var _ net.Addr = Addr{}

// Network is "msgr".
func (a Addr) Network() string { return "msgr" }

// String is the first of the addresses that has an IP address, as "10.0.0.7:7001"; or the
// name, of a messenger without one.
func (a Addr) String() string {
	for _, x := range a.Addrs {
		if x.AddrPort.IsValid() {
			return x.AddrPort.String()
		}
	}
	return a.Name.String()
}
