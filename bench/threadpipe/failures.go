package threadpipe

import (
	"net/netip"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/session"
)

// What fails is counted each time and told the user as an event. The log has the first
// of a kind: of a pipe's attempts to connect until it is up, and of the reasons for which
// peers do not come up. (async's log says more: how often, and when it is over.)

// connectFailed logs an attempt of ours; under mu.
func (p *Pipe) connectFailed(err *msg.ConnectError) {
	if p.failed && p.failure == err.Reason {
		return
	}
	p.failed, p.failure = true, err.Reason
	args := []any{"pipe", p, "reason", err.Reason.String(), "err", err.Err, "while", err.Step, "attempt", err.Attempt}
	p.m.log.Warn("cannot connect", hinted(args, err.Hint())...)
}

// recovered: there is a session; under mu.
func (p *Pipe) recovered() {
	if p.failed {
		p.failed = false
		p.m.log.Info("connected after failed attempts", "pipe", p)
	}
}

// blame counts and logs what a peer is to blame for: an accepted pipe that did not come
// up or was turned away, a session that was broken by what the peer sent; under mu.
// Other faults are the network's, or attempts of ours.
func (p *Pipe) blame(state session.State, err error) {
	reason := session.ReasonOf(err)
	switch {
	case state == session.StateReady:
		if reason == msg.ReasonProtocol || reason == msg.ReasonLimit {
			p.m.acceptFailed("a peer broke its session", p.Remote(), reason, err)
		}
	case p.Accepted() && !p.s.Announced():
		p.counts.AcceptFailures[reason].Add(1)
		// Else somebody looked whether the port is open.
		if reason != msg.ReasonClosed || state != session.StateBannerAccepting {
			p.m.acceptFailed("a peer could not connect", p.Remote(), reason, err)
		}
	}
}

// acceptFailed logs the first failure of accepted sockets for that reason.
func (m *Messenger) acceptFailed(text string, from netip.AddrPort, reason msg.Reason, err error) {
	if !m.blamed[reason].Swap(true) {
		args := []any{"from", from, "reason", reason.String(), "err", err}
		m.log.Warn(text, hinted(args, msg.AcceptHint(reason, err))...)
	}
}

func hinted(args []any, hint string) []any {
	if hint != "" {
		args = append(args, "hint", hint)
	}
	return args
}

// adopted: the peer decides whether the session is lossy, and decided otherwise than the
// own policy; under mu.
func (p *Pipe) adopted() {
	if !p.m.adopted.Swap(true) {
		p.m.log.Warn("the policies of the two ends do not match, and the server's is followed", "pipe", p,
			"lossy", p.s.Policy().Lossy)
	}
}

// changed: x is not what it was when it was handed to Send. Any goroutine.
func (p *Pipe) changed(x *msg.Message) {
	p.counts.Changed.Add(1)
	p.m.log.Error("a message was changed after Send: it is the messenger's until its end", "pipe", p,
		"type", x.Type, "tid", x.TID, "bytes", x.PayloadLen())
}
