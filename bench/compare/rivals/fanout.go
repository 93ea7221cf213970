package rivals

import (
	"slices"
	"sync"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/bench/compare/workload"
)

// The servers of the messengers in the FanOut kind.

// broadcaster is a messenger that has a call for it. threadpipe has none: each pipe has a
// writer of its own to wake, and what is left to be shared, the payload, its loop of Send
// shares as well.
type broadcaster interface {
	Broadcast(conns []msg.Connection, m *msg.Message) []msg.Refusal
}

// announcer sends every message over all connections that it has accepted.
type announcer struct {
	m    messenger
	fast bool

	mu    sync.Mutex
	conns []msg.Connection // what is in it does not change
}

func serveAnnouncer(create makeMessenger, fast, lossy bool) (workload.Server, error) {
	m, err := create(entity.OSD(0), loopback)
	if err != nil {
		return nil, err
	}
	m.SetDefaultPolicy(msg.StatefulServer())
	if lossy {
		m.SetDefaultPolicy(msg.StatelessServer())
	}
	m.AddDispatcherTail(&announcer{m: m, fast: fast})
	return messengerServer{m}, m.Start()
}

// HandleAccept implements msg.AcceptHandler.
func (a *announcer) HandleAccept(c msg.Connection) {
	a.mu.Lock()
	a.conns = append(a.conns, c)
	a.mu.Unlock()
}

// HandleReset implements msg.ResetHandler.
func (a *announcer) HandleReset(c msg.Connection, _ error) bool {
	a.mu.Lock()
	a.conns = slices.DeleteFunc(slices.Clone(a.conns), func(x msg.Connection) bool { return x == c })
	a.mu.Unlock()
	return true
}

func (a *announcer) CanFastDispatch(*msg.Message) bool { return a.fast }
func (a *announcer) FastDispatch(m *msg.Message)       { a.Dispatch(m) }

// Dispatch implements msg.Dispatcher. Connections that have ended refuse the message.
func (a *announcer) Dispatch(m *msg.Message) bool {
	a.mu.Lock()
	conns := a.conns
	a.mu.Unlock()
	if b, ok := a.m.(broadcaster); ok {
		m.ReleaseAfterSend()
		b.Broadcast(conns, m)
		return true
	}
	for _, c := range conns {
		x := msg.New(messageType, 0)
		x.TID, x.Data = m.TID, m.Data // which is left to the garbage collector
		if c.Send(x) != nil {
			x.Release()
		}
	}
	return true
}
