package threadpipe

import (
	"crypto/rand"
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/asyncmsgr/asyncmsgr/connection/auth"
)

func rand64() uint64 {
	var b [8]byte
	rand.Read(b[:]) // never fails
	return binary.LittleEndian.Uint64(b[:])
}

// clock is the machine's, counted from epoch.
type clock struct{ epoch time.Time }

// Now implements eventloop.Clock.
func (c clock) Now() time.Duration { return time.Since(c.epoch) }

// Wall implements eventloop.Clock.
func (c clock) Wall() time.Time { return time.Now() }

// env is what sessions ask of the messenger.
type env struct{ *Messenger }

func (e env) Rand64() uint64          { return rand64() }
func (e env) AuthClient() auth.Client { return e.cfg.AuthClient }
func (e env) AuthServer() auth.Server { return e.cfg.AuthServer }

// hostHas says whether ip is an address of this host.
func hostHas(ip netip.Addr) bool {
	all, _ := net.InterfaceAddrs() // none if they are not to be had
	return slices.ContainsFunc(all, func(a net.Addr) bool {
		p, err := netip.ParsePrefix(a.String())
		return err == nil && p.Addr().Unmap() == ip
	})
}
