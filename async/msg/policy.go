package msg

// Policy is how a messenger treats the sessions with a type of peers (msgr2 spec
// 3.1). Take one of the seven presets and adjust it.
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

	// FeaturesSupported are the feature bits offered; 0 means FeaturesAll.
	FeaturesSupported uint64
	// FeaturesRequired are the bits that a peer must have.
	FeaturesRequired uint64
}

// LossyClient: towards stateless servers, such as a client to a monitor.
func LossyClient() Policy { return Policy{Lossy: true, RegisterLossyClients: true} }

// LosslessClient: towards stateful servers, such as a client to a metadata server.
func LosslessClient() Policy { return Policy{ResetCheck: true, RegisterLossyClients: true} }

// LosslessPeer: between equals; either side connects. A peer that restarts gets
// what is queued.
func LosslessPeer() Policy { return Policy{Standby: true, RegisterLossyClients: true} }

// LosslessPeerReuse: LosslessPeer that notices a restarted peer.
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
