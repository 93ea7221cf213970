package session

import (
	"time"

	"github.com/asyncmsgr/asyncmsgr/connection/frame"
)

// State is where a session is in the life of its connection (docs/PROTOCOL.md 3.3).
type State uint8

// The states, in no order that means anything: see phases.
const (
	StateNone State = iota
	StateConnecting
	StateBannerConnecting
	StateHelloConnecting
	StateAuthConnecting
	StateAuthConnectingSign
	StateCompressionConnecting
	StateSessionConnecting
	StateSessionReconnecting
	StateBannerAccepting
	StateHelloAccepting
	StateAuthAccepting
	StateAuthAcceptingMore
	StateAuthAcceptingSign
	StateCompressionAccepting
	StateSessionAccepting
	StateArbitrating
	StateReady
	StateStandby
	StateBackoff
	StateWait
	StateClosed

	// NumStates is how many there are.
	NumStates = iota
)

var stateNames = [NumStates]string{
	"NONE", "CONNECTING", "BANNER_CONNECTING", "HELLO_CONNECTING", "AUTH_CONNECTING", "AUTH_CONNECTING_SIGN",
	"COMPRESSION_CONNECTING", "SESSION_CONNECTING", "SESSION_RECONNECTING", "BANNER_ACCEPTING", "HELLO_ACCEPTING",
	"AUTH_ACCEPTING", "AUTH_ACCEPTING_MORE", "AUTH_ACCEPTING_SIGN", "COMPRESSION_ACCEPTING", "SESSION_ACCEPTING",
	"ARBITRATING", "READY", "STANDBY", "BACKOFF", "WAIT", "CLOSED",
}

// stateSteps are the steps of a connection in words.
var stateSteps = [NumStates]string{
	StateConnecting: "opening the TCP connection", StateBannerConnecting: "waiting for the peer's first bytes",
	StateHelloConnecting: "waiting for the peer's hello", StateAuthConnecting: "authenticating",
	StateAuthConnectingSign: "authenticating", StateSessionConnecting: "setting up the session",
	StateSessionReconnecting: "resuming the session", StateBannerAccepting: "waiting for the peer's first bytes",
	StateHelloAccepting: "waiting for the peer's hello", StateAuthAccepting: "authenticating",
	StateAuthAcceptingMore: "authenticating", StateAuthAcceptingSign: "authenticating",
	StateCompressionConnecting: "agreeing on compression", StateCompressionAccepting: "agreeing on compression",
	StateSessionAccepting: "setting up the session",
	StateArbitrating:      "setting up the session", StateReady: "in the session",
}

// Step is what happens in that state, in words that need no knowledge of the protocol; ""
// for the states in which nothing does.
func (s State) Step() string {
	if s < NumStates {
		return stateSteps[s]
	}
	return ""
}

// States lists all states, for tests and tables.
func States() []State {
	out := make([]State, NumStates)
	for i := range out {
		out[i] = State(i)
	}
	return out
}

func (s State) String() string {
	if s < NumStates {
		return stateNames[s]
	}
	return "?"
}

// phase is what a state is part of.
type phase uint8

const (
	toPeer     phase = 1 << iota // an attempt of ours to connect
	beforeAuth                   // the peer is not authenticated on this connection yet
)

// phases are those of each state; one that is not named has none.
var phases = [NumStates]phase{
	StateNone:                  beforeAuth,
	StateConnecting:            toPeer | beforeAuth,
	StateBannerConnecting:      toPeer | beforeAuth,
	StateHelloConnecting:       toPeer | beforeAuth,
	StateAuthConnecting:        toPeer | beforeAuth,
	StateAuthConnectingSign:    toPeer | beforeAuth,
	StateCompressionConnecting: toPeer,
	StateSessionConnecting:     toPeer,
	StateSessionReconnecting:   toPeer,
	StateBannerAccepting:       beforeAuth,
	StateHelloAccepting:        beforeAuth,
	StateAuthAccepting:         beforeAuth,
	StateAuthAcceptingMore:     beforeAuth,
	StateAuthAcceptingSign:     beforeAuth,
}

func (s State) connecting() bool { return phases[s]&toPeer != 0 }

// handler handles the payload of one control frame. MESSAGE has no handler
// here: see message.go.
type handler func(s *Session, now time.Duration, payload []byte) error

// transitions is the state machine: which tag may arrive in which state, and
// what handles it. Whatever is not in it is a protocol error.
var transitions [NumStates][256]handler

// messageStates are the states in which a MESSAGE may arrive.
var messageStates [NumStates]bool

func init() {
	on := func(st State, tag frame.Tag, h handler) { transitions[st][tag] = h }

	on(StateHelloConnecting, frame.TagHello, (*Session).connectorHello)
	on(StateAuthConnecting, frame.TagAuthBadMethod, (*Session).connectorAuthBadMethod)
	on(StateAuthConnecting, frame.TagAuthReplyMore, (*Session).connectorAuthMore)
	on(StateAuthConnecting, frame.TagAuthDone, (*Session).connectorAuthDone)
	on(StateAuthConnectingSign, frame.TagAuthSignature, (*Session).connectorSignature)
	on(StateCompressionConnecting, frame.TagCompressionDone, (*Session).connectorCompression)
	on(StateSessionConnecting, frame.TagServerIdent, (*Session).connectorServerIdent)
	on(StateSessionConnecting, frame.TagIdentMissingFeatures, (*Session).connectorMissingFeatures)
	on(StateSessionConnecting, frame.TagWait, (*Session).connectorWait)
	on(StateSessionReconnecting, frame.TagSessionReconnectOK, (*Session).connectorReconnectOK)
	on(StateSessionReconnecting, frame.TagSessionReset, (*Session).connectorReset)
	on(StateSessionReconnecting, frame.TagSessionRetry, (*Session).connectorRetry)
	on(StateSessionReconnecting, frame.TagSessionRetryGlobal, (*Session).connectorRetryGlobal)
	on(StateSessionReconnecting, frame.TagWait, (*Session).connectorWait)

	on(StateHelloAccepting, frame.TagHello, (*Session).acceptorHello)
	on(StateAuthAccepting, frame.TagAuthRequest, (*Session).acceptorAuthRequest)
	on(StateAuthAcceptingMore, frame.TagAuthRequestMore, (*Session).acceptorAuthMore)
	on(StateAuthAcceptingSign, frame.TagAuthSignature, (*Session).acceptorSignature)
	on(StateCompressionAccepting, frame.TagCompressionRequest, (*Session).acceptorCompression)
	on(StateSessionAccepting, frame.TagClientIdent, (*Session).acceptorClientIdent)
	on(StateSessionAccepting, frame.TagSessionReconnect, (*Session).acceptorReconnect)

	on(StateReady, frame.TagAck, (*Session).readyAck)
	on(StateReady, frame.TagKeepalive, (*Session).readyKeepalive)
	on(StateReady, frame.TagKeepaliveAck, (*Session).readyKeepaliveAck)
	messageStates[StateReady] = true
}

// Allowed says whether a frame with that tag may arrive in that state.
func Allowed(st State, tag frame.Tag) bool {
	return transitions[st][tag] != nil || tag == frame.TagMessage && messageStates[st]
}
