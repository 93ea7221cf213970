//go:build linux && (amd64 || arm64 || loong64)

package rivals

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/asyncmsgr/asyncmsgr/bench/compare/workload"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// NATS is a nats-server embedded in the server's process, with the echo as a client in
// that process too, over a connection in memory. Every connection is a nats.Conn that
// publishes with a reply subject below an inbox of its own, as NATS's own requests do.
// What is chosen in its favour:
//
//   - the slot is the last part of the reply subject, so payloads are sent as they are;
//   - callbacks, and publishing without a flush: NATS's own flusher batches;
//   - no log, no JetStream, subjects are not validated again; the bounds on what waits
//     for a slow reader are so high that nobody is cut off for a full window.
//
// Fan-out is publish and subscribe: every connection subscribes to one subject, and the
// first one publishes to it.
//
// After a cut it connects again and subscribes again by itself; what was in flight is
// lost, and what is published meanwhile waits, up to 8 MiB.
func NATS() workload.Contestant {
	return workload.Contestant{
		Name:  "nats",
		Serve: serveNATS,
		Dial: func(addr string, _ workload.Options) (workload.Client, error) {
			return &natsClient{addr: addr}, nil
		},
		ServeAll: serveNATS,
		DialAll: func(addr string, _ workload.Options) (workload.Client, error) {
			return &natsClient{addr: addr, all: true}, nil
		},
	}
}

const (
	natsSubject = "echo"
	natsAll     = "all."  // for everybody; the slot follows
	natsPending = 8 << 30 // bytes that may wait for one reader
)

type natsServer struct {
	s    *server.Server
	echo *nats.Conn
	err  atomic.Pointer[error] // the echo's first
}

func serveNATS(workload.Options) (workload.Server, error) {
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, NoLog: true, NoSigs: true,
		MaxPayload: maxMessage, MaxPending: natsPending, WriteDeadline: patience,
	})
	if err != nil {
		return nil, err
	}
	n := &natsServer{s: s}
	s.Start()
	if !s.ReadyForConnections(patience) {
		return nil, errors.Join(errors.New("the server does not start"), n.Stop())
	}
	n.echo, err = nats.Connect("", append(natsOptions(n.fail), nats.InProcessServer(s))...)
	if err != nil {
		return nil, errors.Join(err, n.Stop())
	}
	err = natsSubscribe(n.echo, natsSubject, func(m *nats.Msg) {
		if err := n.echo.Publish(m.Reply, m.Data); err != nil {
			n.fail(err)
		}
	})
	if err != nil {
		return nil, errors.Join(err, n.Stop())
	}
	return n, nil
}

// natsOptions are those of both ends.
func natsOptions(fail func(error)) []nats.Option {
	return []nats.Option{
		nats.Timeout(patience), nats.MaxReconnects(-1),
		nats.ReconnectWait(20 * time.Millisecond), nats.ReconnectJitter(20*time.Millisecond, 0),
		nats.SkipSubjectValidation(), nats.IgnoreDiscoveredServers(),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			if netErr := net.Error(nil); !errors.As(err, &netErr) { // it connects again after those
				fail(err)
			}
		}),
	}
}

// natsSubscribe returns when the server knows of the subscription.
func natsSubscribe(c *nats.Conn, subject string, f nats.MsgHandler) error {
	sub, err := c.Subscribe(subject, f)
	if err != nil {
		return err
	}
	if err := sub.SetPendingLimits(-1, -1); err != nil {
		return err
	}
	return c.FlushTimeout(patience)
}

func (n *natsServer) Addr() string { return n.s.ClientURL() }

func (n *natsServer) fail(err error) { n.err.CompareAndSwap(nil, &err) }

func (n *natsServer) Stop() error {
	err := n.err.Load()
	if n.echo != nil {
		n.echo.Close()
	}
	n.s.Shutdown()
	n.s.WaitForShutdown()
	if err != nil {
		return fmt.Errorf("echo: %w", *err)
	}
	return nil
}

type natsClient struct {
	addr  string
	all   bool // what is sent is for all connections
	conns []*natsConn
}

type natsConn struct {
	*nats.Conn
	inbox string
	err   atomic.Pointer[error] // what NATS says apart from a call
}

func (c *natsConn) fail(err error) { c.err.CompareAndSwap(nil, &err) }

// Connect implements workload.Client.
func (n *natsClient) Connect(count int, answered func(conn, slot int)) error {
	n.conns = make([]*natsConn, count)
	return dialAll(count, func(i int) error {
		c := &natsConn{inbox: nats.NewInbox() + "."}
		if n.all {
			c.inbox = natsAll
		}
		var err error
		if c.Conn, err = nats.Connect(n.addr, natsOptions(c.fail)...); err != nil {
			return err
		}
		n.conns[i] = c
		return natsSubscribe(c.Conn, c.inbox+"*", func(m *nats.Msg) {
			slot, err := strconv.Atoi(m.Subject[len(c.inbox):])
			if err != nil {
				c.fail(err)
				return
			}
			answered(i, slot)
		})
	})
}

// Send implements workload.Client.
func (n *natsClient) Send(conn, slot int, payload []byte) error {
	c := n.conns[conn]
	if err := c.err.Load(); err != nil {
		return *err
	}
	if n.all {
		return c.Publish(c.inbox+strconv.Itoa(slot), payload)
	}
	return c.PublishRequest(natsSubject, c.inbox+strconv.Itoa(slot), payload)
}

// Stop implements workload.Client.
func (n *natsClient) Stop() error {
	for _, c := range n.conns {
		if c != nil {
			c.Close()
		}
	}
	return nil
}
