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
	// OutArbitrate: an accepted peer has said who it is: find its existing session and
	// Settle. Input is paused until then.
	OutArbitrate
	// OutAuthenticate: a step of the authentication is to be run, by any goroutine: see
	// AuthStep. Input is paused until HandleStep.
	OutAuthenticate
	// OutConnected, OutAccepted: the session is ready, by our or the peer's initiative.
	OutConnected
	OutAccepted
	// OutRemoteReset: the peer lost the session; what was received and not yet
	// dispatched is to be discarded.
	OutRemoteReset
	// OutRefused: the TCP connection was refused.
	OutRefused
	// OutClosed: the session is over for good. Err is nil after MarkDown. It is
	// the last output, but for an OutFinish of what is sent all the same.
	OutClosed
	// OutFault: the transport was lost or given up in State; Err is why. What becomes of the
	// session is said by what follows, if it is more than another attempt.
	OutFault
	// OutKeepaliveAck: the peer answered a keepalive.
	OutKeepaliveAck
	// OutKeepalive: the peer sent a keepalive.
	OutKeepalive
	// OutConnectFailed: an attempt of ours to connect failed; Err is a *msg.ConnectError.
	OutConnectFailed
	// OutTurnedAway: for the log: an accepted peer was refused what it asked for, in
	// State, and may ask again; Err is why.
	OutTurnedAway
	// OutRejected: a message breaks its connection each time; Err is a *msg.RejectedError.
	OutRejected
	// OutAddrs: the peer has other addresses (PeerAddrs) than were known before.
	OutAddrs
	// OutAbsent: the session waits for its peer, which alone can resume it.
	OutAbsent
	// OutChanged: Msg is not what it was when it was handed to Send.
	OutChanged
	// OutAdopted: the server decides whether the session is lossy, and decided otherwise
	// than the policy of this side.
	OutAdopted

	numOutputs
)

var outputNames = [numOutputs]string{"?", "Deliver", "Finish", "Dial", "CloseTransport", "Arbitrate", "Authenticate",
	"Connected", "Accepted", "RemoteReset", "Refused", "Closed", "Fault", "KeepaliveAck", "Keepalive", "ConnectFailed",
	"TurnedAway", "Rejected", "Addrs", "Absent", "Changed", "Adopted"}

func (k OutputKind) String() string { return outputNames[k] }

// Output is one thing for the shell to do.
type Output struct {
	Kind  OutputKind
	State State // of OutFault and OutTurnedAway
	// GoesOn, of OutFault: a ready session has lost its transport, and goes on.
	GoesOn bool
	Msg    *msg.Message
	Err    error
}

func (o Output) String() string {
	if o.Err != nil {
		return fmt.Sprintf("%s(%v)", o.Kind, o.Err)
	}
	return o.Kind.String()
}

// outputs are collected in the worker's Buffers: an idle session holds none.
type outputs struct {
	list []Output
	head int
}

func (s *Session) put(o Output) {
	if s.out == nil {
		s.out = s.bufs.getOutputs()
	}
	q := s.out
	q.list = append(q.list, Output{})
	p := &q.list[len(q.list)-1]
	p.Kind, p.State, p.GoesOn, p.Msg, p.Err = o.Kind, o.State, o.GoesOn, o.Msg, o.Err
}

func (s *Session) emit(k OutputKind)                { s.put(Output{Kind: k}) }
func (s *Session) emitErr(k OutputKind, err error)  { s.put(Output{Kind: k, Err: err}) }
func (s *Session) finish(m *msg.Message, err error) { s.put(Output{Kind: OutFinish, Msg: m, Err: err}) }

// NextOutput returns the next thing to do, in order.
func (s *Session) NextOutput() (Output, bool) {
	q := s.out
	if q == nil {
		return Output{}, false
	}
	if q.head == len(q.list) {
		s.out = nil
		s.bufs.putOutputs(q)
		return Output{}, false
	}
	o := q.list[q.head]
	q.list[q.head] = Output{}
	q.head++
	return o, true
}

// PeekOutput returns the next thing to do and leaves it there.
func (s *Session) PeekOutput() (Output, bool) {
	if s.out == nil || s.out.head == len(s.out.list) {
		return Output{}, false
	}
	return s.out.list[s.out.head], true
}
