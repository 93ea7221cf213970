package threadpipe

import (
	"crypto/rand"
	"encoding/binary"
	"net/netip"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
)

func rand64() uint64 {
	var b [8]byte
	rand.Read(b[:]) // never fails
	return binary.LittleEndian.Uint64(b[:])
}

// env is what sessions ask of the messenger.
type env struct{ m *Messenger }

func (e env) Addrs() entity.AddrVec              { return e.m.Addrs() }
func (e env) PolicyFor(t entity.Type) msg.Policy { return e.m.policyFor(t) }
func (e env) Rand64() uint64                     { return rand64() }
func (e env) AuthClient() auth.Client            { return e.m.auth.client }
func (e env) AuthServer() auth.Server            { return &e.m.auth.server }

// LearnAddr fills in an own address that is still unspecified.
func (e env) LearnAddr(seen entity.Addr) {
	ip := seen.AddrPort.Addr()
	if !ip.IsValid() || ip.IsUnspecified() {
		return
	}
	for {
		old := e.m.addrs.Load()
		next, changed := old.Clone(), false
		for i := range next {
			if a := next[i].AddrPort; a.Addr().IsUnspecified() && (a.Addr().Is4() == ip.Is4() || next[i].Type == entity.AddrAny) {
				next[i].AddrPort, changed = netip.AddrPortFrom(ip, a.Port()), true
			}
		}
		if !changed || e.m.addrs.CompareAndSwap(old, &next) {
			return
		}
	}
}

// NextGlobalSeq implements session.Env (msgr2 spec 3.2).
func (e env) NextGlobalSeq(atLeast uint64) uint64 {
	for {
		old := e.m.globalSeq.Load()
		next := max(old, atLeast) + 1
		if e.m.globalSeq.CompareAndSwap(old, next) {
			return next
		}
	}
}
