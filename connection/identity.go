package connection

import (
	"maps"
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// Identity is who a messenger is to its peers (docs/PROTOCOL.md 1.1, 3.2, 3.5), and how it
// treats them: the part of session.Env that is the same for all. Any goroutine.
type Identity struct {
	Policies
	hostHas   func(ip netip.Addr) bool
	place     atomic.Pointer[Place]
	globalID  atomic.Uint64 // that a monitor gave us
	globalSeq atomic.Uint64
}

// Place is what addresses a messenger has: those that it says it has, and the others at
// which it is reached all the same. It is replaced, never changed.
type Place struct {
	// Addrs are what it is known by.
	Addrs entity.AddrVec
	Nonce uint32
	// Bound is where it listens; unspecified IP addresses stand for all of the host's.
	Bound []netip.AddrPort
	// Only6: a listener on [::] takes no IPv4 connections.
	Only6 bool
}

// Init makes i that of a messenger which does not listen, and connects from ip. hostHas
// says whether an address is this host's.
func (i *Identity) Init(nonce uint32, ip netip.Addr, hostHas func(ip netip.Addr) bool) {
	i.hostHas, i.Policies.def, i.byType = hostHas, msg.DefaultPolicy(), map[entity.Type]msg.Policy{}
	if !ip.IsValid() {
		ip = netip.IPv4Unspecified()
	}
	a := entity.Addr{Type: entity.AddrAny, Nonce: nonce, AddrPort: netip.AddrPortFrom(ip, 0)}
	i.Move(&Place{Addrs: entity.AddrVec{a}, Nonce: nonce})
}

// Move gives the messenger other addresses.
func (i *Identity) Move(to *Place) { i.place.Store(to) }

// Addrs implements session.Env; the slice is read only.
func (i *Identity) Addrs() entity.AddrVec { return i.place.Load().Addrs }

// Owns implements session.Env: it says whether the messenger is reached at a, over a
// connection whose local address is local (the zero value: none in particular). A nonce
// that is known has to be its own.
func (i *Identity) Owns(a entity.Addr, local netip.Addr) bool {
	p := i.place.Load()
	if p.Addrs.Contains(a) {
		return true
	}
	if a.Type != entity.AddrMsgr2 || !a.AnyNonce && a.Nonce != p.Nonce {
		return false
	}
	at := a.Place()
	for _, b := range p.Bound {
		ip := b.Addr().Unmap()
		switch {
		case b.Port() != at.Port():
		case ip.WithZone("") == at.Addr():
			return true
		case !ip.IsUnspecified() || !p.StandsFor(ip, at.Addr()):
		case at.Addr() == local.WithZone(""), at.Addr().IsLoopback(), i.hostHas(at.Addr()):
			return true
		}
	}
	return false
}

// StandsFor says whether a listener on the unspecified address any takes connections to
// ip, if that is the host's.
func (p *Place) StandsFor(any, ip netip.Addr) bool {
	return any.Is6() == ip.Is6() || any.Is6() && !p.Only6
}

// LearnAddr implements session.Env: it fills in an own address that is still unspecified
// with what a peer sees. Ports, types and nonces stay.
func (i *Identity) LearnAddr(seen entity.Addr) {
	ip := seen.AddrPort.Addr().Unmap()
	if !ip.IsValid() || ip.IsUnspecified() {
		return
	}
	for {
		old := i.place.Load()
		next, changed := *old, false
		next.Addrs = old.Addrs.Clone()
		for j, a := range next.Addrs {
			was := a.AddrPort.Addr()
			if was.IsUnspecified() && (was.Is4() == ip.Is4() || a.Type == entity.AddrAny) {
				next.Addrs[j].AddrPort, changed = netip.AddrPortFrom(ip, a.AddrPort.Port()), true
			}
		}
		if !changed || i.place.CompareAndSwap(old, &next) {
			return
		}
	}
}

// GlobalID implements session.Env.
func (i *Identity) GlobalID() uint64 { return i.globalID.Load() }

// LearnGlobalID implements session.Env.
func (i *Identity) LearnGlobalID(id uint64) { i.globalID.Store(id) }

// NextGlobalSeq implements session.Env (get_global_seq).
func (i *Identity) NextGlobalSeq(atLeast uint64) uint64 {
	for {
		old := i.globalSeq.Load()
		next := max(old, atLeast) + 1
		if i.globalSeq.CompareAndSwap(old, next) {
			return next
		}
	}
}

// Policies are the policies per type of peer. Any goroutine. Connections that exist keep
// theirs.
type Policies struct {
	mu     sync.RWMutex
	def    msg.Policy
	byType map[entity.Type]msg.Policy
}

// PolicyFor implements session.Env: the policy for peers of type t.
func (p *Policies) PolicyFor(t entity.Type) msg.Policy {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if q, ok := p.byType[t]; ok {
		return q
	}
	return p.def
}

// All returns the policy for other types, and those that types have of their own. The map is
// the caller's.
func (p *Policies) All() (other msg.Policy, byType map[entity.Type]msg.Policy) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.def, maps.Clone(p.byType)
}

// SetDefaultPolicy sets the policy for types of peers that have none of their own.
func (p *Policies) SetDefaultPolicy(to msg.Policy) {
	p.mu.Lock()
	p.def = to
	p.mu.Unlock()
}

// SetPolicy sets the policy for peers of type t.
func (p *Policies) SetPolicy(t entity.Type, to msg.Policy) {
	p.mu.Lock()
	p.byType[t] = to
	p.mu.Unlock()
}

// SetPolicyThrottlers sets the throttles of the policy for peers of type t; nil means
// unlimited.
func (p *Policies) SetPolicyThrottlers(t entity.Type, messages, bytes msg.Throttler) {
	to := p.PolicyFor(t)
	to.ThrottleMessages, to.ThrottleBytes = messages, bytes
	p.SetPolicy(t, to)
}
