package tickets

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/auth/cephx"
	"github.com/asyncmsgr/asyncmsgr/eventloop"
)

// Config says whose tickets are kept, and where they come from.
type Config struct {
	// Client is the AuthClient of the messenger, or in it. Its Now is a clock that goes as
	// the messenger's Clock does.
	Client *cephx.Client
	// Mons are the monitors, each by its addresses. They are tried one after the other, and
	// the one that answers is kept until it does not.
	Mons []entity.AddrVec
	// AnswerTimeout is for how long a monitor may leave a request unanswered until another
	// one is tried; 0: 3 s.
	AnswerTimeout time.Duration
	// Logger is told of monitors that refuse; nil: the messenger's.
	Logger *slog.Logger
}

// Bounds of the pauses: between attempts with different monitors, doubled from one to the
// next, and of how often it is looked whether something is due.
const (
	pauseMin = 200 * time.Millisecond
	pauseMax = 15 * time.Second
	answers  = 3 * time.Second // the default of Config.AnswerTimeout
	lookMin  = 10 * time.Millisecond
	lookMax  = time.Minute
)

// ErrClosed is returned by Ready when the Keeper was closed.
var ErrClosed = errors.New("tickets: the keeper is closed")

// Keeper keeps the tickets of one messenger; see the package. It has no goroutine: it runs on
// one worker of the messenger's stack. Any goroutine may call the methods.
type Keeper struct {
	m   *async.Messenger
	cfg Config
	w   eventloop.Worker

	mu    sync.Mutex
	conn  msg.Connection // with the monitor; nil: there is none
	ready chan struct{}  // closed while logged in
	ended chan struct{}  // closed by Close

	// Worker only.
	timer eventloop.Timer
	next  int           // of Mons, the one to try next
	pause time.Duration // before the next attempt
	since time.Duration // when the last attempt began
	up    bool          // conn's session stands
	asked time.Duration // since when an answer is waited for; 0: none is
}

// New returns a Keeper for m, which connects with a monitor at once. It adds a dispatcher to
// m's chain, which handles messages of cephx.TypeMAuthReply and no others. m has to be
// started.
func New(m *async.Messenger, cfg Config) (*Keeper, error) {
	switch {
	case cfg.Client == nil:
		return nil, errors.New("tickets: Config.Client is missing")
	case len(cfg.Mons) == 0:
		return nil, errors.New("tickets: Config.Mons is empty")
	case cfg.AnswerTimeout < 0:
		return nil, errors.New("tickets: Config.AnswerTimeout is negative")
	}
	if cfg.AnswerTimeout == 0 {
		cfg.AnswerTimeout = answers
	}
	if cfg.Logger == nil {
		cfg.Logger = m.Logger()
	}
	k := &Keeper{m: m, cfg: cfg, w: m.Stack().Pick(), pause: pauseMin, ready: make(chan struct{}),
		ended: make(chan struct{})}
	k.timer.Init(k)
	m.AddDispatcherHead(k)
	return k, k.w.Post(k)
}

// Mon is the connection with a monitor, for what else is to be asked there; nil if there is
// none at the moment. Its policy is msg.LossyClient: another one takes its place when it
// breaks.
func (k *Keeper) Mon() msg.Connection {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.conn
}

// Ready waits until the client is logged in and the session with the monitor stands. Its
// error is ErrClosed or that of ctx.
func (k *Keeper) Ready(ctx context.Context) error {
	if k.isClosed() {
		return ErrClosed
	}
	k.mu.Lock()
	ready := k.ready
	k.mu.Unlock()
	select {
	case <-ready:
		return nil
	case <-k.ended:
		return ErrClosed
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Close ends the connection with the monitor. The tickets stay in use until they end.
func (k *Keeper) Close() {
	k.mu.Lock()
	select {
	case <-k.ended:
	default:
		close(k.ended)
	}
	k.mu.Unlock()
	_ = k.w.Post(k) // refused: the stack is closed, and its connections with it
}

func (k *Keeper) isClosed() bool {
	select {
	case <-k.ended:
		return true
	default:
		return false
	}
}

// Dispatch implements msg.Dispatcher.
func (k *Keeper) Dispatch(m *msg.Message) bool {
	if m.Type != cephx.TypeMAuthReply || m.Connection() != k.Mon() {
		return false
	}
	if err := k.cfg.Client.HandleReply(m.Front); err != nil {
		k.cfg.Logger.Warn("tickets: not renewed", "mon", m.Connection().String(), "err", err)
	}
	c := m.Connection()
	m.Release()
	k.post(func() { k.answered(c) })
	return true
}

// HandleConnect implements msg.ConnectHandler.
func (k *Keeper) HandleConnect(c msg.Connection) { k.post(func() { k.connected(c) }) }

// HandleReset implements msg.ResetHandler.
func (k *Keeper) HandleReset(c msg.Connection, _ error) bool {
	k.post(func() { k.lost(c, false) })
	return false
}

// HandleConnectFailed implements msg.ConnectFailedHandler.
func (k *Keeper) HandleConnectFailed(c msg.Connection, _ *msg.ConnectError) {
	if len(k.cfg.Mons) == 1 {
		return // the messenger goes on trying
	}
	k.post(func() {
		if c == k.Mon() && !k.up {
			c.MarkDown()
			k.lost(c, true)
		}
	})
}

func (k *Keeper) post(f func()) { _ = k.w.Post(eventloop.TaskFunc(f)) }

// Run implements eventloop.Task: it does what is due.
func (k *Keeper) Run() { k.look(k.w.Now()) }

// HandleTimer implements eventloop.TimerHandler.
func (k *Keeper) HandleTimer(time.Duration) { k.look(k.w.Now()) }

// connected notes that a session stands.
func (k *Keeper) connected(c msg.Connection) {
	if c != k.Mon() {
		return
	}
	k.up, k.pause = true, pauseMin
	k.mu.Lock()
	select {
	case <-k.ready:
	default:
		close(k.ready)
	}
	k.mu.Unlock()
	k.look(k.w.Now())
}

// answered notes that a monitor answers.
func (k *Keeper) answered(c msg.Connection) {
	if c == k.Mon() {
		k.asked = 0
		k.look(k.w.Now())
	}
}

// lost notes that a connection is over; the next one is with the same monitor, or another.
func (k *Keeper) lost(c msg.Connection, another bool) {
	if c != k.Mon() {
		return
	}
	k.mu.Lock()
	k.conn = nil
	select {
	case <-k.ready:
		k.ready = make(chan struct{})
	default:
	}
	k.mu.Unlock()
	k.up, k.asked = false, 0
	if another {
		k.next = (k.next + 1) % len(k.cfg.Mons)
	}
	k.look(k.w.Now())
}

// look connects, asks for what is due, and sets the timer for what is due next.
func (k *Keeper) look(now time.Duration) {
	conn := k.Mon()
	switch {
	case k.isClosed():
		k.w.StopTimer(&k.timer)
		if conn != nil {
			conn.MarkDown()
			k.mu.Lock()
			k.conn = nil
			k.mu.Unlock()
		}
		return
	case conn == nil && k.since != 0 && now < k.since+k.pause:
		k.w.SetTimer(&k.timer, k.since+k.pause)
		return
	case conn == nil:
		k.connect(now)
	case k.asked != 0 && now >= k.asked+k.cfg.AnswerTimeout:
		k.cfg.Logger.Warn("tickets: a monitor does not answer", "mon", conn.String())
		conn.MarkDown()
		k.lost(conn, true)
		return
	case conn.IsClosed(): // by MarkDown, of which nobody is told
		k.lost(conn, false)
		return
	case k.up:
		k.ask(conn, now)
	}
	k.w.SetTimer(&k.timer, now+k.wait(now))
}

// connect begins to connect with the next monitor.
func (k *Keeper) connect(now time.Duration) {
	if k.since != 0 {
		k.pause = min(2*k.pause, pauseMax)
	}
	k.since = max(now, 1)
	conn, err := k.m.ConnectToWith(msg.LossyClient(), entity.TypeMon, k.cfg.Mons[k.next])
	if errors.Is(err, msg.ErrShutdown) {
		k.Close()
		return
	}
	if err != nil {
		k.cfg.Logger.Warn("tickets: cannot connect with a monitor", "mon", k.cfg.Mons[k.next], "err", err)
		k.next = (k.next + 1) % len(k.cfg.Mons)
		return
	}
	k.mu.Lock()
	k.conn = conn
	k.mu.Unlock()
	if conn.IsConnected() { // somebody else had made it, and no event follows
		k.connected(conn)
	}
}

// ask asks the monitor for what is due.
func (k *Keeper) ask(conn msg.Connection, now time.Duration) {
	fronts, err := k.cfg.Client.Renewal()
	if errors.Is(err, cephx.ErrLoginDue) {
		conn.MarkDown() // the next one logs in
		k.lost(conn, false)
		return
	}
	if err != nil {
		k.cfg.Logger.Warn("tickets: cannot ask for tickets", "err", err)
	}
	for _, front := range fronts {
		err := conn.Send(&msg.Message{Type: cephx.TypeMAuth, Version: 1, Front: front})
		if err != nil && !errors.Is(err, msg.ErrClosed) {
			k.cfg.Logger.Warn("tickets: cannot ask for tickets", "mon", conn.String(), "err", err)
		}
		if k.asked == 0 {
			k.asked = max(now, 1)
		}
	}
}

// wait is for how long there is nothing to do.
func (k *Keeper) wait(now time.Duration) time.Duration {
	if !k.up {
		return k.pause
	}
	at := k.cfg.Client.RenewAt()
	if at.IsZero() {
		return lookMin
	}
	wait := min(max(at.Sub(k.cfg.Client.Now()), lookMin), lookMax)
	if k.asked != 0 {
		wait = min(wait, max(k.asked+k.cfg.AnswerTimeout-now, lookMin))
	}
	return wait
}
