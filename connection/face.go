package connection

import (
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/session"
)

// Face is what any goroutine may know of a connection with a peer: the part of
// msg.Connection that only looks, for what embeds it. That writes to Seen.
type Face struct {
	Seen  Seen
	value atomic.Pointer[any]
}

// Seen is what a Face shows. Its methods are not the connection's, which a user has.
type Seen struct {
	ID           uint64 // constant
	Connected    atomic.Bool
	Closed       atomic.Bool
	MarkedDown   atomic.Bool  // by the user
	Keepalive    atomic.Int64 // unix nanoseconds
	KeepaliveAck atomic.Int64
	peer         atomic.Pointer[peerInfo]
	lastErr      atomic.Pointer[error] // nil: there was none
	state        atomic.Uint32         // a session.State
}

// peerInfo is what is known of the peer; replaced, never changed.
type peerInfo struct {
	name        entity.Name
	addrs       entity.AddrVec
	features    uint64
	globalID    uint64
	authed      *entity.Authenticated // nil: it is not yet
	policy      msg.Policy
	local       netip.AddrPort // of the last transport, and
	remote      netip.AddrPort // where that came from or led to
	accepted    bool           // by a socket that a peer opened
	compression *agreement     // nil: this side does not offer it
	adopted     bool           // policy.Lossy is the peer's, and was otherwise
}

// Publish shows s's view of the peer, and the ends of the transport; zero values: those of the
// one before.
func (x *Seen) Publish(s *session.Session, local, remote netip.AddrPort) {
	i := &peerInfo{
		name: s.PeerName(), addrs: s.PeerAddrs(), features: s.Features(), globalID: s.GlobalID(),
		authed: s.Authenticated(), policy: s.Policy(), local: local, remote: remote, accepted: !s.Announced(),
		adopted: s.Adopted(),
	}
	if algorithm, whyNot := s.Compressed(); algorithm+whyNot != "" {
		i.compression = &agreement{algorithm, whyNot}
	}
	if old := x.peer.Load(); old != nil {
		i.accepted = old.accepted
		if !remote.IsValid() {
			i.local, i.remote = old.local, old.remote
		}
	}
	x.peer.Store(i)
}

// SetState shows that state, of which a user sees what it means to him.
func (x *Seen) SetState(s session.State) {
	if now := uint32(s); now != x.state.Load() {
		x.state.Store(now)
	}
}

// SetLastError shows why a connection broke, or did not come up.
func (x *Seen) SetLastError(err error) { x.lastErr.Store(&err) }

// connStates has what a user sees of a session's state.
var connStates = func() (m [session.NumStates]msg.ConnState) {
	for s := range m { // the states of a handshake
		m[s] = msg.StateConnecting
	}
	m[session.StateReady] = msg.StateReady
	m[session.StateBackoff], m[session.StateWait] = msg.StateBackoff, msg.StateBackoff
	m[session.StateStandby] = msg.StateStandby
	m[session.StateClosed] = msg.StateClosed
	return m
}()

// ID implements msg.Connection.
func (f *Face) ID() uint64 { return f.Seen.ID }

// IsConnected implements msg.Connection.
func (f *Face) IsConnected() bool { return f.Seen.Connected.Load() }

// IsClosed implements msg.Connection.
func (f *Face) IsClosed() bool { return f.Seen.Closed.Load() }

// MarkedDown says whether the user wants to hear no more of this connection.
func (f *Face) MarkedDown() bool { return f.Seen.MarkedDown.Load() }

// IsLoopback implements msg.Connection.
func (f *Face) IsLoopback() bool { return false }

// PeerName implements msg.Connection.
func (f *Face) PeerName() entity.Name { return f.Seen.peer.Load().name }

// PeerType implements msg.Connection.
func (f *Face) PeerType() entity.Type { return f.Seen.peer.Load().name.Type }

// PeerAddrs implements msg.Connection.
func (f *Face) PeerAddrs() entity.AddrVec { return f.Seen.peer.Load().addrs }

// PeerGlobalID implements msg.Connection.
func (f *Face) PeerGlobalID() uint64 { return f.Seen.peer.Load().globalID }

// Authenticated implements msg.Connection.
func (f *Face) Authenticated() (a entity.Authenticated) {
	if p := f.Seen.peer.Load().authed; p != nil {
		a = *p
	}
	return a
}

// Features implements msg.Connection.
func (f *Face) Features() uint64 { return f.Seen.peer.Load().features }

// Policy implements msg.Connection.
func (f *Face) Policy() msg.Policy { return f.Seen.peer.Load().policy }

// TransportAddrs implements msg.Connection.
func (f *Face) TransportAddrs() (local, remote netip.AddrPort) {
	if !f.IsConnected() {
		return local, remote
	}
	i := f.Seen.peer.Load()
	return i.local, i.remote
}

// Remote is where the last transport came from or led to; the zero value if there was
// none.
func (f *Face) Remote() netip.AddrPort { return f.Seen.peer.Load().remote }

// Accepted says whether the connection began with a socket that the peer opened.
func (f *Face) Accepted() bool { return f.Seen.peer.Load().accepted }

// OwnPolicy is the policy that the connection was given: Policy without what it has adopted
// from its peer.
func (f *Face) OwnPolicy() msg.Policy {
	i := f.Seen.peer.Load()
	p := i.policy
	p.Lossy = p.Lossy != i.adopted
	return p
}

// LastKeepalive implements msg.Connection.
func (f *Face) LastKeepalive() time.Time { return fromNanos(f.Seen.Keepalive.Load()) }

// LastKeepaliveAck implements msg.Connection.
func (f *Face) LastKeepaliveAck() time.Time { return fromNanos(f.Seen.KeepaliveAck.Load()) }

func fromNanos(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n)
}

// SetValue implements msg.Connection.
func (f *Face) SetValue(v any) { f.value.Store(&v) }

// Value implements msg.Connection.
func (f *Face) Value() any {
	if v := f.value.Load(); v != nil {
		return *v
	}
	return nil
}

// State implements msg.Connection.
func (f *Face) State() msg.ConnState {
	if f.IsClosed() {
		return msg.StateClosed
	}
	return connStates[f.Seen.state.Load()]
}

// LastError implements msg.Connection.
func (f *Face) LastError() error {
	if p := f.Seen.lastErr.Load(); p != nil {
		return *p
	}
	return nil
}

// String implements msg.Connection.
func (f *Face) String() string {
	i := f.Seen.peer.Load()
	s := fmt.Sprintf("conn %d ", f.Seen.ID)
	switch {
	case i.name.Type == 0:
		s += "with a peer that has not said who it is"
	case len(i.addrs) == 0:
		s += i.name.String()
	default:
		s += i.name.String() + " " + i.addrs.String()
	}
	if i.remote.IsValid() {
		s += " via " + i.remote.String()
	}
	return s + " " + f.State().String()
}
