package threadpipe

import (
	"crypto/rand"
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
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
type env struct{ m *Messenger }

func (e env) Addrs() entity.AddrVec              { return e.m.Addrs() }
func (e env) LearnAddr(seen entity.Addr)         { e.m.learnAddr(seen) }
func (e env) GlobalID() uint64                   { return e.m.globalID.Load() }
func (e env) LearnGlobalID(id uint64)            { e.m.globalID.Store(id) }
func (e env) PolicyFor(t entity.Type) msg.Policy { return e.m.policyFor(t) }
func (e env) Rand64() uint64                     { return rand64() }
func (e env) AuthClient() auth.Client            { return e.m.auth.client }
func (e env) AuthServer() auth.Server            { return &e.m.auth.server }

// Owns implements session.Env.
func (e env) Owns(a entity.Addr, local netip.Addr) bool { return e.m.owns(a, local) }

// NextGlobalSeq implements session.Env (docs/PROTOCOL.md 3.2).
func (e env) NextGlobalSeq(atLeast uint64) uint64 {
	for {
		old := e.m.globalSeq.Load()
		next := max(old, atLeast) + 1
		if e.m.globalSeq.CompareAndSwap(old, next) {
			return next
		}
	}
}
