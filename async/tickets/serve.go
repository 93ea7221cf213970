package tickets

import (
	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/auth/cephx"
)

// Serve has m, a monitor whose AuthServer is monitor, answer requests for tickets and
// secrets. It adds a dispatcher to m's chain, which handles messages of cephx.TypeMAuth and
// no others.
func Serve(m *async.Messenger, monitor *cephx.Monitor) { m.AddDispatcherHead(server{m, monitor}) }

type server struct {
	m       *async.Messenger
	monitor *cephx.Monitor
}

// Dispatch implements msg.Dispatcher. It takes some microseconds.
func (s server) Dispatch(m *msg.Message) bool {
	if m.Type != cephx.TypeMAuth {
		return false
	}
	conn := m.Connection()
	peer := conn.Authenticated()
	reply, err := s.monitor.HandleRequest(&peer, m.Front)
	m.Release()
	if err != nil {
		s.m.Logger().Warn("tickets: a request is refused", "peer", conn.String(), "err", err)
	}
	if reply != nil {
		err = conn.Send(&msg.Message{Type: cephx.TypeMAuthReply, Version: 1, Front: reply})
		if err != nil {
			s.m.Logger().Warn("tickets: cannot answer", "peer", conn.String(), "err", err)
		}
	}
	return true
}
