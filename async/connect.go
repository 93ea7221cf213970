package async

import (
	"errors"
	"fmt"
	"iter"
	"net/netip"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection"
	"github.com/asyncmsgr/asyncmsgr/connection/session"
	"github.com/asyncmsgr/asyncmsgr/eventloop"
)

// ConnectTo returns the connection with the peer of that type and those
// addresses, and begins to connect if there is none. It returns at once; what
// becomes of it arrives as events, and failed attempts are logged. The own addresses
// give the loopback connection. Errors: ErrNotStarted, ErrShutdown, ErrNoSession (the
// policy says that such peers connect to us, and this one has not).
//
// An address with a nonce (as Messenger.Addrs of the peer has it) is one process: when
// another one listens there later, it is not the peer any more, and the connection goes
// on trying until it is marked down. An address without (entity.ParseAddrVec of
// "10.0.0.7:7001", Addr.AnyNonce) means whichever process listens there: the
// connection takes over that one's addresses, under which it is found too, and when the
// peer is started anew that is a remote reset, after which it goes on. That holds, from
// now on, for a connection that is found at the place, too, for example because the peer
// has called. One address of a peer that has several finds the same connection as all of
// them.
func (m *Messenger) ConnectTo(t entity.Type, addrs entity.AddrVec) (msg.Connection, error) {
	return m.connect(nil, t, addrs, false)
}

// ConnectToWith is ConnectTo with a policy for this connection alone, in place of the one for
// the type: for a peer with whom it is to be otherwise than with others of its type. It goes
// with the connection for as long as that lives, also through the peer's own calls; what is made
// after its end, and what the peer begins when there is none, follows the policy of the type again.
// As ever it is the accepting end that says whether a session is lossy (see msg.Policy).
//
// If there is a connection already that was given another policy, since the peer has called, or
// somebody else has asked for it, the error is a *msg.PolicyError, which wraps
// msg.ErrOtherPolicy and holds that connection: a policy cannot change under a session, and one
// who asks for a certain policy relies on it. (ConnectTo asks for none, and returns what there
// is.) That a session has turned out otherwise by the peer's will does not count: it is the policy
// given that is compared. The loopback connection has no policy of its own, and is returned
// whatever p is.
func (m *Messenger) ConnectToWith(p msg.Policy, t entity.Type, addrs entity.AddrVec) (msg.Connection, error) {
	return m.connect(&p, t, addrs, false)
}

// ConnectAnon is ConnectTo that always makes a new connection, which no lookup
// finds: for several connections with one peer. The peer must not register its
// clients by address (StatelessServer does not), or it takes each of them for
// the return of the one before. Where the policy for t is lossless, which only such
// peers go with, a warning is logged.
func (m *Messenger) ConnectAnon(t entity.Type, addrs entity.AddrVec) (msg.Connection, error) {
	return m.connectAnon(m.PolicyFor(t), t, addrs)
}

// ConnectAnonWith is ConnectAnon with a policy for this connection alone; see ConnectToWith.
func (m *Messenger) ConnectAnonWith(p msg.Policy, t entity.Type, addrs entity.AddrVec) (msg.Connection, error) {
	return m.connectAnon(p, t, addrs)
}

func (m *Messenger) connectAnon(p msg.Policy, t entity.Type, addrs entity.AddrVec) (msg.Connection, error) {
	if !p.Lossy {
		if _, before := m.warned.LoadOrStore(warnedAnon{t}, true); !before {
			m.log.Warn("an anonymous connection under a lossless policy: a peer that keeps lossless sessions "+
				"registers its clients by address, and takes several connections of one client for each other; "+
				"use a lossy policy, or one connection", "type", t)
		}
	}
	return m.connect(&p, t, addrs, true)
}

// Lookup returns the connection with the peer that has one of these addresses, or nil;
// see ConnectTo.
func (m *Messenger) Lookup(addrs entity.AddrVec) msg.Connection {
	if c := m.lookup(addrs); c != nil {
		return c
	}
	return nil
}

func (m *Messenger) lookup(addrs entity.AddrVec) *connection.Conn {
	addrs, err := m.localized(addrs)
	if err != nil {
		return nil // nobody is on an interface that there is not
	}
	return m.reg.Lookup(addrs)
}

// Loopback returns the messenger's connection to itself.
func (m *Messenger) Loopback() msg.Connection { return m.loop }

// SendTo sends x to a peer, connecting if need be. See ConnectTo and
// Connection.Send for the errors; on an error x stays the caller's.
func (m *Messenger) SendTo(x *msg.Message, t entity.Type, addrs entity.AddrVec) error {
	c, err := m.ConnectTo(t, addrs)
	if err != nil {
		return err
	}
	return c.Send(x)
}

// connect is ConnectTo under the policy asked for; nil: under that of the type, if there is no
// connection yet.
func (m *Messenger) connect(asked *msg.Policy, t entity.Type, addrs entity.AddrVec, anon bool) (
	msg.Connection, error) {
	if err := m.usable(); err != nil {
		return nil, err
	}
	addrs, err := m.localized(addrs)
	if err != nil {
		return nil, err
	}
	target := addrs.Msgr2()
	if !anon && (addrs.Equal(m.Addrs()) || m.identity.Owns(target, netip.Addr{})) {
		return m.loop, nil
	}
	policy := m.PolicyFor(t)
	if asked != nil {
		policy = m.guardThrottlers(*asked)
	}
	if !anon {
		if c := m.reg.Lookup(addrs); c != nil && !c.IsClosed() {
			return m.wanted(c, asked, policy, addrs)
		}
	}
	if policy.Server {
		return nil, fmt.Errorf("%w: %s %s has to connect to us", msg.ErrNoSession, t, addrs)
	}
	if target.IsBlank() || target.AddrPort.Port() == 0 || target.AddrPort.Addr().IsUnspecified() {
		return nil, fmt.Errorf("msgr: connect: no msgr2 address to dial in %s", addrs)
	}
	peer := session.Peer{Type: t, Addrs: addrs, Policy: policy}
	c := connection.Connect(m.lastConnID.Add(1), &m.shared, m.cfg.Stack.Pick(), peer)
	if ex, err := m.reg.Add(c, addrs, anon); ex != nil || err != nil {
		if err != nil {
			return nil, err
		}
		return m.wanted(ex, asked, policy, addrs) // another goroutine, or the peer, was faster
	}
	c.Start()
	return c, nil
}

// wanted is c, which was found under addrs, if that has the policy that was asked for.
func (m *Messenger) wanted(c *connection.Conn, asked *msg.Policy, p msg.Policy, addrs entity.AddrVec) (
	msg.Connection, error) {
	if asked != nil && !p.Equal(c.OwnPolicy()) {
		return nil, &msg.PolicyError{Conn: c, Asked: *asked, Has: c.OwnPolicy()}
	}
	m.reg.Wanted(addrs)
	return c, nil
}

// Connections iterates over the connections there are when the iteration begins, by
// their ID, accepted ones that are not ready yet and anonymous ones included, the
// loopback connection not. Any goroutine; no worker waits for it.
func (m *Messenger) Connections() iter.Seq[msg.Connection] {
	return func(yield func(msg.Connection) bool) {
		for _, c := range m.reg.Snapshot() {
			if !yield(c) {
				return
			}
		}
	}
}

// accepted takes a socket from a listener, on the listener's worker.
func (m *Messenger) accepted(sock eventloop.Socket) {
	m.mu.Lock()
	switch m.state {
	case stateNew:
		if len(m.early) < m.cfg.HandshakesMax {
			m.early = append(m.early, sock)
			m.mu.Unlock()
			return
		}
		m.counts.TurnedAway.Add(1)
		fallthrough
	case stateClosing:
		m.mu.Unlock()
		_ = sock.Close()
		return
	}
	m.mu.Unlock()
	m.accept(sock)
}

// accept begins the handshake of an accepted socket on the least loaded worker.
func (m *Messenger) accept(sock eventloop.Socket) {
	w := m.cfg.Stack.Pick()
	c := connection.Accept(m.lastConnID.Add(1), &m.shared, w)
	limits := connection.HandshakeLimits{Max: m.cfg.HandshakesMax, MaxPerHost: m.cfg.HandshakesMaxPerHost}
	if m.queue.Events() >= m.cfg.EventsMax {
		m.turnAway(sock, errEvents, "events", m.cfg.EventsMax)
		return
	}
	displaced, err := m.reg.AddHandshake(c, sock.RemoteAddr().Addr(), limits)
	if displaced != nil {
		m.counts.TurnedAway.Add(1)
		displaced.GiveUp(session.ErrCrowdedOut)
	}
	if err != nil {
		m.turnAway(sock, err, "handshakes", limits.Max, "from one host", limits.MaxPerHost)
		return
	}
	if w.Post(eventloop.TaskFunc(func() { c.Adopt(sock) })) != nil {
		_ = sock.Close() // the stack is closed
		c.Close(msg.ErrShutdown)
	}
}

// errEvents is why nobody is let in while dispatchers are far behind.
var errEvents = errors.New("msgr: too many events wait for dispatchers")

// turnAway closes an accepted socket for which a bound leaves no room, and says so.
func (m *Messenger) turnAway(sock eventloop.Socket, why error, bounds ...any) {
	if m.usable() == nil {
		m.counts.TurnedAway.Add(1)
		m.failures.AcceptFailed(m.cfg.Stack.Clock().Now(), "a peer could not connect", sock.RemoteAddr(),
			msg.ReasonFull, why, bounds...)
	}
	_ = sock.Close()
}
