package stream

import (
	"errors"
	"fmt"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// The methods of this file are the messenger's: what it tells its dispatchers.

var (
	_ msg.FastDispatcher         = (*Mux)(nil)
	_ msg.FastRemoteResetHandler = (*Mux)(nil)
	_ msg.UndeliverableHandler   = (*Mux)(nil)
)

// Dispatch implements msg.Dispatcher: nothing comes that way.
func (x *Mux) Dispatch(*msg.Message) bool { return false }

// CanFastDispatch implements msg.FastDispatcher.
func (x *Mux) CanFastDispatch(m *msg.Message) bool {
	return m.Type >= msg.TypeStreamFirst && m.Type <= msg.TypeStreamLast
}

// FastDispatch implements msg.FastDispatcher. It never blocks.
func (x *Mux) FastDispatch(m *msg.Message) {
	s, err := x.session(m.Connection())
	if err != nil { // closed
		m.Release()
		return
	}
	s.handle(m)
}

// HandleFastRemoteReset implements msg.FastRemoteResetHandler: before the first message of the
// next session.
func (x *Mux) HandleFastRemoteReset(c msg.Connection) {
	if s := x.known(c); s != nil {
		s.fail(fmt.Errorf("%w: %w", ErrPeerReset, msg.ErrRemoteReset), false)
	}
}

// HandleUndeliverable implements msg.UndeliverableHandler. What ends with the session ends
// with its streams; but a message that was given up alone leaves a hole in its stream.
func (x *Mux) HandleUndeliverable(c msg.Connection, m *msg.Message, reason error) {
	if !x.CanFastDispatch(m) || !errors.Is(reason, msg.ErrRejected) {
		return
	}
	if s := x.known(c); s != nil {
		if st := s.stream(streamKey{id: m.TID >> 1, mine: m.TID&1 != 0}); st != nil {
			st.lost(reason)
		}
	}
}
