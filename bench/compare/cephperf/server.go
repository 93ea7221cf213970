package cephperf

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// Server answers requests.
type Server struct {
	n        *network
	m        messenger
	requests atomic.Int64
	front    []byte // of replies
}

// Serve starts a server at that address; port 0 is one of the system's choice. Of c it
// uses what is not about jobs.
func Serve(c Config, at netip.AddrPort) (*Server, error) {
	c.Jobs, c.Window, c.Messages = max(c.Jobs, 1), max(c.Window, 1), max(c.Messages, 1)
	n, err := newNetwork(c)
	if err != nil {
		return nil, err
	}
	s := &Server{n: n, front: encodeReply()}
	if s.m, err = n.create(entity.OSD(0), Nonce, at); err != nil {
		return nil, errors.Join(err, n.close())
	}
	s.m.SetDefaultPolicy(msg.StatelessServer())
	s.m.AddDispatcherTail(s)
	if err := s.m.Start(); err != nil {
		return nil, errors.Join(err, n.close())
	}
	return s, nil
}

// Addr is where the server listens.
func (s *Server) Addr() netip.AddrPort { return s.m.Addrs().Msgr2().AddrPort }

// Requests is how many were answered so far. Any goroutine may ask.
func (s *Server) Requests() int64 { return s.requests.Load() }

// Close ends the server and its connections.
func (s *Server) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), s.n.patience())
	defer cancel()
	err := s.m.Shutdown(ctx)
	return errors.Join(err, s.n.close())
}

// CanFastDispatch implements msg.FastDispatcher. What takes time waits in the queue.
func (s *Server) CanFastDispatch(m *msg.Message) bool {
	return m.Type == typeRequest && !s.n.Queue && s.n.Think == 0
}

// FastDispatch implements msg.FastDispatcher.
func (s *Server) FastDispatch(m *msg.Message) { s.Dispatch(m) }

// Dispatch implements msg.Dispatcher.
func (s *Server) Dispatch(m *msg.Message) bool {
	switch m.Type {
	case typeRequest:
		if s.n.Think > 0 {
			time.Sleep(s.n.Think)
		}
		s.requests.Add(1)
		r := msg.New(typeReply, replyFront)
		copy(r.Front, s.front)
		r.Version, r.Compat = replyVersion, replyCompat
		s.reply(m, r)
	case typeUsage:
		u, err := use()
		if err != nil {
			m.Connection().MarkDown() // there is no answer, and the client is not to wait for it
			return true
		}
		text, err := json.Marshal(u)
		if err != nil {
			panic(err) // a struct of numbers
		}
		s.reply(m, &msg.Message{Type: typeUsage, Front: text})
	default:
		return false
	}
	return true
}

func (s *Server) reply(to, r *msg.Message) {
	r.TID = to.TID
	c := to.Connection()
	to.Release()
	if c.Send(r) != nil {
		r.Release() // the connection has ended, and its client knows
	}
}
