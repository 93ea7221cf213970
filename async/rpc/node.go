package rpc

import (
	"log/slog"
	"sync/atomic"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/eventloop"
)

// Options configure a Node. The zero value works.
type Options struct {
	// MaxCalls bounds the calls that are out, of all connections together; 0 means 65536. At the
	// bound a call answers ErrTooManyCalls. The memory of that many calls, 300 bytes each and up
	// to 1 KiB for its request, is kept once it was needed.
	MaxCalls int
	// MaxCallsPerConn is the same for the calls over one connection; 0 means MaxCalls.
	MaxCallsPerConn int
	// MaxBodies bounds the bodies that are received at a time, each of which may have 256 KiB of unread
	// chunks; 0 means 1024. A request with one more is answered with CodeOverloaded; a reply with one
	// more fails with ErrTooManyCalls.
	MaxBodies int
	// Interceptors are called, the first one outermost, around each Call of this node, and
	// ServerInterceptors around each handler. See ClientInterceptor and ServerInterceptor.
	Interceptors       []ClientInterceptor
	ServerInterceptors []ServerInterceptor
	// Go starts the goroutines of Concurrent handlers; nil means the go statement. In a simulation it
	// may run f at once, or later on the goroutine of the network.
	Go func(f func())
}

func (o Options) withDefaults() Options {
	if o.MaxCalls <= 0 {
		o.MaxCalls = 1 << 16
	}
	if o.MaxCallsPerConn <= 0 {
		o.MaxCallsPerConn = o.MaxCalls
	}
	if o.MaxBodies <= 0 {
		o.MaxBodies = 1024
	}
	if o.Go == nil {
		o.Go = func(f func()) { go f() }
	}
	return o
}

// Node calls peers, and answers their calls, over one messenger. All methods may be called by any
// goroutine. It lives as long as the messenger.
type Node struct {
	m     *async.Messenger
	opts  Options
	log   *slog.Logger
	clock eventloop.Clock // of the stack: what timers and Message.ReceivedAt go by
	wall  eventloop.Clock // of the messenger: what deadlines in wall time go by

	handlers handlerTable
	invoke   Invoker      // Call with the interceptors around; nil: there are none
	chance   uint64       // of this node
	out      atomic.Int64 // calls that are out
	bodies   atomic.Int64 // bodies that are received
	shards   [numShards]shard
}

// New returns a Node on m, which it adds itself to as the first dispatcher, after it has reserved
// the message types 0xE000 to 0xE00F. The error is that of Messenger.ReserveTypes: a messenger
// has one Node. Call it before Messenger.Start, and register handlers before that too.
func New(m *async.Messenger, opts Options) (*Node, error) {
	if err := m.ReserveTypes("async/rpc", msg.TypeRPCFirst, msg.TypeRPCLast); err != nil {
		return nil, err
	}
	n := &Node{m: m, opts: opts.withDefaults(), log: m.Logger(), clock: m.Stack().Clock(), wall: m.Clock()}
	n.invoke = chainClient(n.opts.Interceptors, n.invoked)
	n.chance = m.Rand64()
	workers := m.Stack().NumWorkers()
	for i := range n.shards {
		n.shards[i].init(n, i, m.Stack().Worker(i%workers), m.Rand64())
	}
	m.WatchClosed(n.connClosed)
	m.AddDispatcherHead(dispatcher{n})
	return n, nil
}

// Messenger is the messenger that n is on.
func (n *Node) Messenger() *async.Messenger { return n.m }
