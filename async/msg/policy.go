package msg

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Policy is how a messenger treats the sessions with a type of peers (docs/PROTOCOL.md
// 3.1). Take one of the eight presets and adjust it.
//
// The two ends of a session should have policies that are made for each other: a
// client's and a server's, both lossy or both not, or the same one of two peers. The
// side that accepts says whether a session is lossy; the one that dialled adopts that
// for the connection, and all else stays its own. So of others this comes:
//
//	dials           accepts            what holds
//	a server's      any                nothing: ConnectTo answers ErrNoSession; two servers never meet
//	any other       lossy              lossy: each message at most once; a fault ends the session for both
//	LosslessClient  any lossless       lossless; the client comes back for what the other end has to say, too
//	LosslessPeer,   StatefulServer,    lossless; but a peer that is idle does not come back, and the server
//	 ...PeerReuse    who cannot call    cannot call: what it sends waits until the peer has something to send
//	LossyClient,    any lossless       lossless; but the client names no cookie, and a second attempt of it to
//	 LossyPeer                         make the session looks like a restart: the accepting end may be told of
//	                                   a remote reset (without ResetCheck it sends again what was on its way),
//	                                   and what the client has no acknowledgement of may arrive twice
//	one lossy and one lossless,        it depends on who dials; when both do at once, the lossless end may be
//	 and either may dial               told of a remote reset by one for whom the session was lossy, and is over
//
// An end with ResetCheck notices when a peer calls that has restarted under the same
// address. A restarted peer that is called says so itself, unless it is calling at that
// moment and lacks ResetCheck. What is lost is reported in all cases.
type Policy struct {
	// Lossy: a fault after establishment ends the connection (HandleReset)
	// instead of reconnecting; nothing is acknowledged or replayed.
	Lossy bool
	// Server: never initiate a connection or a reconnection; wait for the peer.
	Server bool
	// Standby: with nothing to send, do not reconnect after a fault.
	Standby bool
	// ResetCheck: notice that the peer lost its session and say so
	// (HandleRemoteReset), dropping what was queued.
	ResetCheck bool
	// RegisterLossyClients: an accepting lossy server keeps at most one
	// connection per client address.
	RegisterLossyClients bool

	// ThrottleMessages and ThrottleBytes, shared by all connections under this
	// policy, bound what is in dispatch at a time: messages, and payload bytes.
	// They are taken before the payload is read. nil: unlimited.
	ThrottleMessages, ThrottleBytes Throttler

	// ConnThrottleMessages and ConnThrottleBytes bound the same for each connection by
	// itself, so that one that is slow to be dispatched does not take what all share: at
	// its bound it alone is not read from. They are taken before all other throttles, and
	// what is held (Message.Hold) counts too. A message over the bound is let in when what
	// is there is within it. 0 means 65536 messages, and a quarter of
	// Config.DispatchThrottleBytes; negative no bound. The most that can be set are 4 Mi
	// messages and 256 GiB.
	ConnThrottleMessages int
	ConnThrottleBytes    int64

	// FeaturesSupported are the feature bits offered; 0 means FeaturesAll.
	FeaturesSupported uint64
	// FeaturesRequired are the bits that a peer must have.
	FeaturesRequired uint64
}

// Equal says whether both policies are the same, with the same throttlers.
func (p Policy) Equal(o Policy) bool {
	same := sameThrottler(p.ThrottleMessages, o.ThrottleMessages) && sameThrottler(p.ThrottleBytes, o.ThrottleBytes)
	p.ThrottleMessages, p.ThrottleBytes, o.ThrottleMessages, o.ThrottleBytes = nil, nil, nil, nil
	return same && p == o
}

// sameThrottler is a == b for any of them: those that are not comparable are not the same.
func sameThrottler(a, b Throttler) bool {
	return (a == nil || reflect.ValueOf(a).Comparable()) && (b == nil || reflect.ValueOf(b).Comparable()) && a == b
}

// traits are p in a line.
func (p Policy) traits() string {
	words := []string{"lossless"}
	if p.Lossy {
		words[0] = "lossy"
	}
	for word, has := range map[string]bool{
		"server": p.Server, "standby": p.Standby, "reset check": p.ResetCheck,
		"registers": p.RegisterLossyClients, "throttled": p.ThrottleMessages != nil || p.ThrottleBytes != nil,
		fmt.Sprintf("features %#x", p.FeaturesSupported): p.FeaturesSupported != 0,
		fmt.Sprintf("requires %#x", p.FeaturesRequired):  p.FeaturesRequired != 0,
	} {
		if has {
			words = append(words, word)
		}
	}
	slices.Sort(words[1:])
	return "(" + strings.Join(words, ", ") + ")"
}

// LossyClient: towards stateless servers, such as a client to a monitor.
func LossyClient() Policy { return Policy{Lossy: true, RegisterLossyClients: true} }

// LosslessClient: towards stateful servers, such as a client to a metadata server.
func LosslessClient() Policy { return Policy{ResetCheck: true, RegisterLossyClients: true} }

// LossyPeer: between equals whose sessions end with the connection, such as the members of a
// gossip protocol, who say things again anyway; either side connects. When both do at once one
// connection results, as with LosslessPeer: each side keeps its Connection, and what was sent over
// it meanwhile. When it breaks each side is told (HandleReset) and what was under way is reported;
// whoever has something to say then asks for a new one (ConnectTo), which takes the place of the
// old one if the other end has not noticed yet. Until a peer is reached for the first time, it is
// called again as long as there is something to send, and otherwise one attempt is made for each
// RetryNow or message; a connection that waits like that goes on when the peer calls.
func LossyPeer() Policy { return Policy{Lossy: true, Standby: true, RegisterLossyClients: true} }

// LosslessPeer: between equals; either side connects. A peer that restarts under the
// same addresses, nonce included, gets the messages queued for it if the peer calls. If
// the peer is called, it does not know the session, and the queued messages are reported
// (HandleRemoteReset, ErrRemoteReset).
func LosslessPeer() Policy { return Policy{Standby: true, RegisterLossyClients: true} }

// LosslessPeerReuse: LosslessPeer that notices a restarted peer in either case.
func LosslessPeerReuse() Policy {
	return Policy{Standby: true, ResetCheck: true, RegisterLossyClients: true}
}

// StatefulServer: towards clients whose sessions survive their connections.
func StatefulServer() Policy {
	return Policy{Server: true, Standby: true, ResetCheck: true, RegisterLossyClients: true}
}

// StatelessServer: towards clients whose sessions end with the connection.
func StatelessServer() Policy { return Policy{Lossy: true, Server: true} }

// StatelessRegisteredServer: StatelessServer with one connection per client address.
func StatelessRegisteredServer() Policy {
	return Policy{Lossy: true, Server: true, RegisterLossyClients: true}
}

// DefaultPolicy is what a messenger uses until told otherwise: a lossless client.
func DefaultPolicy() Policy { return LosslessClient() }

// Throttler bounds something that messages hold while they are in dispatch. Its
// methods may be called by any goroutine and do not block. dispatch.Throttle
// implements it.
type Throttler interface {
	// Acquire takes n. If that is not possible now (there is not enough, or
	// others wait already), and w is not nil, w waits in line and is told once n
	// was taken for it. An amount over the limit is admitted alone.
	Acquire(n int64, w ThrottleWaiter) bool
	// Cancel ends the waiting of w. false means that w was granted before (or
	// never waited): the caller owns n and has to Release it.
	Cancel(w ThrottleWaiter) bool
	// Take takes n without regard to the limit.
	Take(n int64)
	// Release gives n back and grants waiters in their order.
	Release(n int64)
}

// ThrottleWaiter waits for a Throttler; it is comparable (a pointer).
type ThrottleWaiter interface {
	// ThrottleGranted says that what was asked for was taken. It runs on the
	// goroutine that gave back and must not block.
	ThrottleGranted()
}
