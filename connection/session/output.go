package session

import (
	"fmt"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// OutputKind is what the shell has to do.
type OutputKind uint8

// The outputs.
const (
	// OutDeliver: a message arrived; Msg is the shell's.
	OutDeliver OutputKind = iota + 1
	// OutFinish: the sending of Msg ended; Err says why it failed, or nil.
	OutFinish
	// OutDial: open a transport to Target now.
	OutDial
	// OutCloseTransport: close the transport and forget unwritten bytes.
	OutCloseTransport
	// OutArbitrate: an accepted peer has said who it is; decide (see Arbitrate)
	// and call one of the Answer… methods. Input is paused until then.
	OutArbitrate
	// OutConnected, OutAccepted: the session is ready, by our or the peer's initiative.
	OutConnected
	OutAccepted
	// OutRemoteReset: the peer lost the session; what was received and not yet
	// dispatched is to be discarded.
	OutRemoteReset
	// OutRefused: the TCP connection was refused.
	OutRefused
	// OutClosed: the session is over for good. Err is nil after MarkDown. It is
	// the last output.
	OutClosed
	// OutFault: for the log: the transport was lost or given up; Err is why.
	OutFault
	// OutKeepaliveAck: the peer answered a keepalive.
	OutKeepaliveAck
	// OutKeepalive: the peer sent a keepalive.
	OutKeepalive
)

var outputNames = [...]string{"?", "Deliver", "Finish", "Dial", "CloseTransport", "Arbitrate", "Connected",
	"Accepted", "RemoteReset", "Refused", "Closed", "Fault", "KeepaliveAck", "Keepalive"}

func (k OutputKind) String() string { return outputNames[k] }

// Output is one thing for the shell to do.
type Output struct {
	Kind OutputKind
	Msg  *msg.Message
	Err  error
}

func (o Output) String() string {
	if o.Err != nil {
		return fmt.Sprintf("%s(%v)", o.Kind, o.Err)
	}
	return o.Kind.String()
}

func (s *Session) emit(k OutputKind)                { s.out = append(s.out, Output{Kind: k}) }
func (s *Session) emitErr(k OutputKind, err error)  { s.out = append(s.out, Output{Kind: k, Err: err}) }
func (s *Session) finish(m *msg.Message, err error) { s.out = append(s.out, Output{OutFinish, m, err}) }

// NextOutput returns the next thing to do, in order.
func (s *Session) NextOutput() (Output, bool) {
	if s.outHead == len(s.out) {
		s.out, s.outHead = s.out[:0], 0
		return Output{}, false
	}
	o := s.out[s.outHead]
	s.out[s.outHead] = Output{}
	s.outHead++
	return o, true
}

// LendOutputs gives the session a slice to collect outputs in, so that an idle
// session holds none; ReturnOutputs takes it back when it is empty.
func (s *Session) LendOutputs(buf []Output) {
	if s.out == nil {
		s.out = buf[:0]
	}
}

// ReturnOutputs returns the slice that outputs are collected in, or nil when
// there are outputs left.
func (s *Session) ReturnOutputs() []Output {
	if s.outHead != len(s.out) {
		return nil
	}
	buf := s.out
	s.out, s.outHead = nil, 0
	return buf[:0]
}
