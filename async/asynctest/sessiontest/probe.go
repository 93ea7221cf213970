package sessiontest

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/stretchr/testify/require"
)

// seen is a callback that a probe saw.
type seen struct {
	what string // "message", "fast", "connect", "accept", "reset", ...
	conn msg.Connection
	m    *msg.Message // not for a message that was given away
	text string       // the message's front
	tid  uint64
	err  error
}

// probe is a dispatcher that has all methods and records what it sees. The
// functions, if set, run first; set them before Start.
type probe struct {
	r         *rig
	fast      func(m *msg.Message) bool // what to fast dispatch
	onMessage func(m *msg.Message)
	onEvent   func(what string, c msg.Connection)
	prepare   func(m *msg.Message) // FastPreprocess
	echo      bool                 // send messages back, recording no more than the text

	count atomic.Int64 // messages
	mu    sync.Mutex
	all   []seen
}

func (p *probe) record(s seen) {
	p.mu.Lock()
	p.all = append(p.all, s)
	p.mu.Unlock()
	if s.what == "message" || s.what == "fast" {
		p.count.Add(1)
	}
	p.r.notify()
}

func (p *probe) message(what string, m *msg.Message) {
	s := seen{what: what, conn: m.Connection(), m: m, text: string(m.Front), tid: m.TID}
	if p.onMessage != nil {
		p.onMessage(m)
	}
	if p.echo {
		s.m = nil
		m.ReleaseAfterSend()
		if s.conn.Send(m) != nil {
			m.Release()
		}
	}
	p.record(s)
}

func (p *probe) event(s seen) {
	if p.onEvent != nil {
		p.onEvent(s.what, s.conn)
	}
	p.record(s)
}

// Dispatch implements msg.Dispatcher; the other methods its companions.
func (p *probe) Dispatch(m *msg.Message) bool        { p.message("message", m); return true }
func (p *probe) CanFastDispatch(m *msg.Message) bool { return p.fast != nil && p.fast(m) }
func (p *probe) FastDispatch(m *msg.Message)         { p.message("fast", m) }
func (p *probe) HandleConnect(c msg.Connection)      { p.event(seen{what: "connect", conn: c}) }
func (p *probe) HandleAccept(c msg.Connection)       { p.event(seen{what: "accept", conn: c}) }
func (p *probe) HandleFastConnect(c msg.Connection)  { p.event(seen{what: "fast connect", conn: c}) }
func (p *probe) HandleFastAccept(c msg.Connection)   { p.event(seen{what: "fast accept", conn: c}) }
func (p *probe) HandleFastReset(c msg.Connection)    { p.event(seen{what: "fast reset", conn: c}) }
func (p *probe) HandleRemoteReset(c msg.Connection)  { p.event(seen{what: "remote reset", conn: c}) }

// HandleFastRemoteReset implements msg.FastRemoteResetHandler.
func (p *probe) HandleFastRemoteReset(c msg.Connection) {
	p.event(seen{what: "fast remote reset", conn: c})
}

// HandleFault implements msg.FaultHandler.
func (p *probe) HandleFault(c msg.Connection, err error) {
	p.event(seen{what: "fault", conn: c, err: err})
}

// HandleFastFault implements msg.FastFaultHandler.
func (p *probe) HandleFastFault(c msg.Connection, err error) {
	p.event(seen{what: "fast fault", conn: c, err: err})
}

// FastPreprocess implements msg.FastPreprocessor.
func (p *probe) FastPreprocess(m *msg.Message) {
	if p.prepare != nil {
		p.prepare(m)
	}
}

func (p *probe) HandleReset(c msg.Connection, err error) bool {
	p.event(seen{what: "reset", conn: c, err: err})
	return true
}

func (p *probe) HandleRefused(c msg.Connection, err error) bool {
	p.event(seen{what: "refused", conn: c, err: err})
	return true
}

// HandleConnectFailed implements msg.ConnectFailedHandler.
func (p *probe) HandleConnectFailed(c msg.Connection, err *msg.ConnectError) {
	p.event(seen{what: "connect failed", conn: c, err: err})
}

// HandleSendPressure implements msg.SendPressureHandler.
func (p *probe) HandleSendPressure(c msg.Connection, high bool) {
	what := "low water"
	if high {
		what = "high water"
	}
	p.event(seen{what: what, conn: c})
}

func (p *probe) HandleUndeliverable(c msg.Connection, m *msg.Message, err error) {
	p.event(seen{what: "undeliverable", conn: c, text: string(m.Front), err: err})
}

// every returns all that was seen.
func (p *probe) every() []seen {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.all)
}

// of returns what was seen of a kind; "message" includes fast ones.
func (p *probe) of(what string) []seen {
	var out []seen
	for _, s := range p.every() {
		if s.what == what || what == "message" && s.what == "fast" {
			out = append(out, s)
		}
	}
	return out
}

func (p *probe) times(what string) int { return len(p.of(what)) }

// texts are the fronts of the messages seen.
func (p *probe) texts() []string {
	var out []string
	for _, s := range p.of("message") {
		out = append(out, s.text)
	}
	return out
}

// wantMessages waits for n messages, which must be all, and returns their fronts.
func (p *probe) wantMessages(n int) []string {
	p.r.t.Helper()
	p.r.until(fmt.Sprintf("%d messages", n), func() bool { return p.count.Load() >= int64(n) })
	require.EqualValues(p.r.t, n, p.count.Load())
	return p.texts()
}

// want waits until a kind of callback came n times, and returns the last.
func (p *probe) want(what string, n int) seen {
	p.r.t.Helper()
	p.r.until(fmt.Sprintf("%s, %d times", what, n), func() bool { return p.times(what) >= n })
	all := p.of(what)
	require.Len(p.r.t, all, n)
	return all[n-1]
}

// checkFast: each reset, and each remote reset, was told on the worker before, once.
func (p *probe) checkFast() {
	p.r.t.Helper()
	type kind struct {
		conn msg.Connection
		what string
	}
	fast, told := map[kind]int{}, map[kind]int{}
	for _, s := range p.every() {
		switch s.what {
		case "fast reset", "fast remote reset":
			k := kind{s.conn, s.what[len("fast "):]}
			fast[k]++
			require.Zero(p.r.t, told[kind{s.conn, "reset"}], "%s after the reset of %v", s.what, s.conn)
		case "reset", "remote reset":
			k := kind{s.conn, s.what}
			told[k]++
			require.LessOrEqual(p.r.t, told[k], fast[k], "%s of %v", s.what, s.conn)
		}
	}
	for k := range fast {
		require.LessOrEqual(p.r.t, fast[kind{k.conn, "reset"}], 1, "%v", k.conn)
	}
}

// ends records how sendings ended.
type ends struct {
	r    *rig
	mu   sync.Mutex
	errs []error
}

// MessageSent implements msg.Notifier.
func (e *ends) MessageSent(_ msg.Connection, _ *msg.Message, err error) {
	e.mu.Lock()
	e.errs = append(e.errs, err)
	e.mu.Unlock()
	e.r.notify()
}

func (e *ends) all() []error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]error(nil), e.errs...)
}

// want waits for n notices, which must be all.
func (e *ends) want(n int) []error {
	e.r.t.Helper()
	e.r.until(fmt.Sprintf("%d notices", n), func() bool { return len(e.all()) >= n })
	all := e.all()
	require.Len(e.r.t, all, n)
	return all
}

// gate holds up whoever passes until it is opened.
type gate struct {
	r       *rig
	ch      chan struct{}
	arrived atomic.Int32
}

func (r *rig) gate() *gate {
	g := &gate{r: r, ch: make(chan struct{})}
	r.t.Cleanup(g.open) // a test that failed must end
	return g
}

// heldAt is a gate at which p's messages with that front are held up; before Start.
func (p *probe) heldAt(front string) *gate {
	g := p.r.gate()
	p.onMessage = func(m *msg.Message) {
		if string(m.Front) == front {
			g.pass()
		}
	}
	return g
}

func (g *gate) pass() {
	g.arrived.Add(1)
	g.r.notify()
	<-g.ch
}

// open lets everybody pass; the test's goroutine.
func (g *gate) open() {
	select {
	case <-g.ch:
	default:
		close(g.ch)
	}
}

func (g *gate) wantArrived(n int32) {
	g.r.t.Helper()
	g.r.until("somebody at the gate", func() bool { return g.arrived.Load() >= n })
}
