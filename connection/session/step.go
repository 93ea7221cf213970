package session

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/asyncmsgr/asyncmsgr/connection/auth"
)

// How a slow step of authentication is taken (auth.Slow), from its beginning to its end:
//
//   - The session needs a method of its exchange called: it emits OutAuthenticate and takes
//     no bytes until it has the answer. The handshake's deadline goes on.
//   - The shell has AuthStep run, by any goroutine, and tells the session by HandleStep.
//   - A session that ends meanwhile, or whose transport does, forgets the step. Who runs it
//     then closes the exchange; what it has found out is nobody's any more.
//
// An exchange that is not slow has its methods called here and now.

// AuthStep is one call of an authentication method. Run is for any goroutine, the rest is
// the session's.
type AuthStep struct {
	exchange any
	call     func(*answer) // touches nothing of the session
	then     func(*Session, *answer) error
	answer   answer
	state    atomic.Uint32
}

// The states of a step.
const (
	stepWaits     uint32 = iota // to be run
	stepRuns                    // or is being run
	stepReturned                // its answer waits for the session
	stepForgotten               // nobody waits for its answer
)

// answer is what a method of an exchange returned.
type answer struct {
	request auth.Request
	payload []byte
	result  auth.Result
	reply   auth.Reply
	err     error
}

// errNoReturn is the answer of a method that panics or ends its goroutine.
var errNoReturn = errors.New("the authentication method did not return")

// Run calls the method, and says whether the session waits for the answer: HandleStep is
// due then. Should the method end the goroutine, or panic, it is due as well; see Due.
func (a *AuthStep) Run() (due bool) {
	if !a.state.CompareAndSwap(stepWaits, stepRuns) {
		return false
	}
	a.answer.err = errNoReturn
	defer func() {
		if due = a.state.CompareAndSwap(stepRuns, stepReturned); !due {
			_ = auth.Close(a.exchange)
		}
	}()
	var got answer
	a.call(&got)
	a.answer = got
	return true
}

// Due says whether the answer is there and waits for the session.
func (a *AuthStep) Due() bool { return a.state.Load() == stepReturned }

// forget is for a session that does not wait any more. The exchange is closed: now, or
// when the method returns.
func (a *AuthStep) forget() {
	if a.state.Swap(stepForgotten) != stepRuns {
		_ = auth.Close(a.exchange)
	}
}

// take calls a method of the exchange and goes on with its answer; if the exchange is
// slow, that is later.
func (s *Session) take(call func(*answer), then func(*Session, *answer) error) error {
	h := s.stream.hs
	if !h.slow {
		var a answer
		call(&a)
		return then(s, &a)
	}
	h.step = &AuthStep{exchange: h.exchange(), call: call, then: then}
	s.stream.paused = true
	s.emit(OutAuthenticate)
	return nil
}

// AuthStep is what OutAuthenticate asks for; nil if the session does not wait for it any
// more.
func (s *Session) AuthStep() *AuthStep {
	if s.stream.hs == nil {
		return nil
	}
	return s.stream.hs.step
}

// HandleStep tells that a step has been run. If that is not the one that the session waits
// for, nothing happens. The shell then takes the outputs and gives the bytes it kept.
func (s *Session) HandleStep(now time.Duration) {
	step := s.AuthStep()
	if step == nil || !step.Due() {
		return
	}
	s.stream.hs.step, s.stream.paused = nil, false
	if err := step.then(s, &step.answer); err != nil {
		s.fault(now, err)
	}
}

// RefuseStep is for a shell that has nobody to run the step: the connection is given up.
func (s *Session) RefuseStep(now time.Duration, err error) {
	if s.AuthStep() != nil {
		s.fault(now, s.ownError("authenticating", fmt.Errorf("%w: %w", ErrBusy, err)))
	}
}

// exchange is that of either side; nil: there is none.
func (h *handshake) exchange() any {
	switch {
	case h.client != nil:
		return h.client
	case h.server != nil:
		return h.server
	}
	return nil
}

// endExchange ends the authentication that is under way, if there is one.
func (h *handshake) endExchange() {
	x, step := h.exchange(), h.step
	h.client, h.server, h.step = nil, nil, nil // first: Close is user code
	switch {
	case step != nil:
		step.forget()
	case x != nil:
		_ = auth.Close(x)
	}
}
