package rivals

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/bench/compare/workload"
)

// What the contestants with messengers have in common. Sessions are lossless unless asked for. A
// client is a messenger for each connection, as two connections of one messenger
// with one server are the same one.

// messenger is what async's and threadpipe's have in common.
type messenger interface {
	Start() error
	ConnectTo(entity.Type, entity.AddrVec) (msg.Connection, error)
	Addrs() entity.AddrVec
	AddDispatcherTail(msg.Dispatcher)
	SetDefaultPolicy(msg.Policy)
	Shutdown(context.Context) error
}

// makeMessenger makes a messenger that listens at that address, if it is valid.
type makeMessenger func(name entity.Name, at netip.AddrPort) (messenger, error)

const messageType = 1000

// patience bounds connecting and stopping.
const patience = 40 * time.Second

var loopback = netip.MustParseAddrPort("127.0.0.1:0")

// messengerContestant is a contestant whose messengers are made by what build makes
// of the options.
func messengerContestant(
	name string, build func(workload.Options) (makeMessenger, error), fast bool,
) workload.Contestant {
	return workload.Contestant{
		Name:       name,
		Priorities: true,
		Serve: func(o workload.Options) (workload.Server, error) {
			create, err := build(o)
			if err != nil {
				return nil, err
			}
			return serveMessengers(create, fast, max(1, o.Messengers))
		},
		Dial: func(addr string, o workload.Options) (workload.Client, error) {
			create, err := build(o)
			if err != nil {
				return nil, err
			}
			return dialMessenger(create, fast, o.Lossy, addr)
		},
		ServeAll: func(o workload.Options) (workload.Server, error) {
			create, err := build(o)
			if err != nil {
				return nil, err
			}
			return serveAnnouncer(create, fast, o.Lossy)
		},
	}
}

// messengerServer is so many messengers of one process.
type messengerServer []messenger

func serveMessengers(create makeMessenger, fast bool, n int) (workload.Server, error) {
	var s messengerServer
	for i := range n {
		m, err := create(entity.OSD(int64(i)), loopback)
		if err != nil {
			return nil, err
		}
		s = append(s, m)
		m.SetDefaultPolicy(msg.StatefulServer())
		m.AddDispatcherTail(echo{fast})
		if err := m.Start(); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Addr has the addresses of all messengers.
func (s messengerServer) Addr() string {
	all := make([]string, len(s))
	for i, m := range s {
		all[i] = m.Addrs().String()
	}
	return strings.Join(all, " ")
}

func (s messengerServer) Stop() error { return shutdownAll(s) }

func shutdownAll(ms []messenger) error {
	errs := make([]error, len(ms))
	var wg sync.WaitGroup
	for i, m := range ms {
		wg.Go(func() { errs[i] = shutdown(m) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

func shutdown(m messenger) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return m.Shutdown(ctx)
}

// echo sends every message back.
type echo struct{ fast bool }

func (e echo) CanFastDispatch(*msg.Message) bool { return e.fast }
func (e echo) FastDispatch(m *msg.Message)       { e.Dispatch(m) }

func (e echo) Dispatch(m *msg.Message) bool {
	m.ReleaseAfterSend()
	if m.Connection().Send(m) != nil {
		return true // the connection is closed
	}
	return true
}

type messengerClient struct {
	create makeMessenger
	fast   bool
	policy msg.Policy
	server []entity.AddrVec // connections are to each in turn
	ms     []messenger
	conns  []msg.Connection
}

func dialMessenger(create makeMessenger, fast, lossy bool, addr string) (workload.Client, error) {
	c := &messengerClient{create: create, fast: fast, policy: msg.LosslessClient()}
	if lossy {
		c.policy = msg.LossyClient()
	}
	for text := range strings.FieldsSeq(addr) {
		server, err := entity.ParseAddrVec(text)
		if err != nil {
			return nil, err
		}
		c.server = append(c.server, server)
	}
	return c, nil
}

// Connect implements workload.Client.
func (c *messengerClient) Connect(n int, answered func(conn, slot int)) error {
	var ready sync.WaitGroup
	for i := range n {
		m, err := c.create(entity.Client(int64(i+1)), netip.AddrPort{})
		if err != nil {
			return err
		}
		c.ms = append(c.ms, m)
		m.SetDefaultPolicy(c.policy)
		ready.Add(1)
		m.AddDispatcherTail(&receiver{fast: c.fast, conn: i, answered: answered, ready: sync.OnceFunc(ready.Done)})
		if err := m.Start(); err != nil {
			return err
		}
		conn, err := m.ConnectTo(entity.TypeOSD, c.server[i%len(c.server)])
		if err != nil {
			return err
		}
		c.conns = append(c.conns, conn)
	}
	all := make(chan struct{})
	go func() { ready.Wait(); close(all) }()
	select {
	case <-all:
		return nil
	case <-time.After(patience):
		connected := 0
		for _, conn := range c.conns {
			if conn.IsConnected() {
				connected++
			}
		}
		return fmt.Errorf("%d of %d connected", connected, n)
	}
}

// Send implements workload.Client.
func (c *messengerClient) Send(conn, slot int, payload []byte) error {
	return c.send(conn, slot, payload, msg.PriorityDefault)
}

// SendHigh implements workload.PrioritySender.
func (c *messengerClient) SendHigh(conn, slot int, payload []byte) error {
	return c.send(conn, slot, payload, msg.PriorityHigh)
}

func (c *messengerClient) send(conn, slot int, payload []byte, priority uint8) error {
	m := msg.New(messageType, 0)
	m.TID, m.Data, m.Priority = uint64(slot), payload, priority
	return c.conns[conn].Send(m)
}

// Stop implements workload.Client.
func (c *messengerClient) Stop() error { return shutdownAll(c.ms) }

// receiver takes the answers of one connection.
type receiver struct {
	fast     bool
	conn     int
	answered func(conn, slot int)
	ready    func()
}

func (r *receiver) HandleConnect(msg.Connection)      { r.ready() }
func (r *receiver) CanFastDispatch(*msg.Message) bool { return r.fast }
func (r *receiver) FastDispatch(m *msg.Message)       { r.Dispatch(m) }

func (r *receiver) Dispatch(m *msg.Message) bool {
	slot := int(m.TID)
	m.Release()
	r.answered(r.conn, slot)
	return true
}
