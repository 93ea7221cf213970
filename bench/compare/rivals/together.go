package rivals

import (
	"errors"
	"net/netip"
	"sync/atomic"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/bench/compare/workload"
	"github.com/asyncmsgr/asyncmsgr/eventloop"
	"github.com/asyncmsgr/asyncmsgr/eventloop/forward"
	"github.com/asyncmsgr/asyncmsgr/eventloop/netpollstack"
)

// Together is a client of this library's messenger with its server in the same process, on
// the same workers: what msgrbench workers measures. All that two workers share is shared, and
// with one worker on one processor none of it is. Both ends of a connection are on the same
// worker, or, apart, on neighbours: what the bytes of a connection cost that go from one
// processor to another is no matter of how many workers there are, and would hide the rest.
// Dispatch is as wide as there are workers, and 4 at least, which is the default.
func Together(fast bool, workers int, apart bool) (workload.Client, error) {
	inner, err := netpollstack.Open(netpollstack.Config{Workers: workers})
	if err != nil {
		return nil, err
	}
	create := func(stack eventloop.Stack) makeMessenger {
		return func(name entity.Name, at netip.AddrPort) (messenger, error) {
			m, err := async.New(async.Config{
				Name: name, Stack: stack, ListenBacklog: 4096, DispatchWidth: max(4, workers),
			})
			if err == nil && at.IsValid() {
				err = m.Bind(at)
			}
			return m, err
		}
	}
	var accepted atomic.Uint32
	server, err := serveMessengers(create(place(inner, func() int { return int(accepted.Add(1)) - 1 })), fast, 1)
	if err != nil {
		return nil, errors.Join(err, inner.Close())
	}
	accepted.Store(0) // connections have workers in the order in which they are accepted
	if apart {
		accepted.Store(1)
	}
	return &together{
		server: server, inner: inner,
		dial: func(i int) (workload.Client, error) {
			return dialMessenger(create(place(inner, func() int { return i })), fast, false, server.Addr())
		},
	}, nil
}

// placed is a stack whose new connections get the worker of which pick gives the number,
// taken modulo how many there are.
type placed struct {
	eventloop.Stack
	pick func() int
}

func place(inner eventloop.Stack, pick func() int) eventloop.Stack {
	return forward.StackAs(&placed{inner, pick}, inner)
}

// Pick implements eventloop.Stack.
func (p *placed) Pick() eventloop.Worker { return p.Worker(p.pick() % p.NumWorkers()) }

// together is a client for each connection, and the server of all.
type together struct {
	server  workload.Server
	inner   eventloop.Stack
	dial    func(i int) (workload.Client, error)
	clients []workload.Client
}

// Connect implements workload.Client: one after the other, so that the order is known.
func (t *together) Connect(n int, answered func(conn, slot int)) error {
	for i := range n {
		c, err := t.dial(i)
		if err != nil {
			return err
		}
		t.clients = append(t.clients, c)
		if err := c.Connect(1, func(_, slot int) { answered(i, slot) }); err != nil {
			return err
		}
	}
	return nil
}

// Send implements workload.Client.
func (t *together) Send(conn, slot int, payload []byte) error {
	return t.clients[conn].Send(0, slot, payload)
}

// Stop stops both ends, and the workers.
func (t *together) Stop() error {
	errs := make([]error, 0, len(t.clients)+2)
	for _, c := range t.clients {
		errs = append(errs, c.Stop())
	}
	return errors.Join(append(errs, t.server.Stop(), t.inner.Close())...)
}
