package mon

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/callback"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/mon/wire"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/eventloop"
)

// Client is a client of the monitors of one cluster; see the package. It has no goroutine: it
// runs on one worker of the messenger's stack. Any goroutine may call the methods; those with
// a context block, and answer msg.ErrOnWorker to what runs on a worker.
type Client struct {
	m      *async.Messenger
	own    bool // the messenger ends with the client
	cfg    Config
	w      eventloop.Worker
	asked  atomic.Int64 // questions without an answer
	lastID atomic.Uint64
	ended  chan struct{} // closed by Close

	mu      sync.Mutex
	state   state
	ours    []msg.Connection // with monitors: replaced, never changed
	changed chan struct{}    // closed when state has changed, and replaced

	// Worker only.
	timer     eventloop.Timer
	hunt      *hunt
	mons      []entity.AddrVec       // by their numbers in hunt
	calls     map[int]msg.Connection // under way, by monitor
	session   session
	refusals  int // in a row
	asks      asks
	questions map[uint64]*question
}

// state is what waits are about.
type state struct {
	up      bool           // a session stands, and the monitor map is known
	conn    msg.Connection // that of the session; nil: it does not stand
	closed  bool
	refused error // set while the monitors do not let this side in
	last    error // the last thing that went wrong on the way to a monitor
	mapErr  error // why there is no OSD map
	monMap  wire.MonMap
	osdMaps OSDMaps
}

// New returns a Client that begins to hunt at once. It adds a dispatcher to m's chain, which
// handles what monitors send on the connections that the Client has made, and nothing else. m
// has to be started, and its AuthClient one that monitors let in.
func New(m *async.Messenger, cfg Config) (*Client, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	if cfg.Logger == nil {
		cfg.Logger = m.Logger()
	}
	c := &Client{m: m, cfg: cfg, w: m.Stack().Pick(), ended: make(chan struct{}), changed: make(chan struct{}),
		mons: slices.Clone(cfg.Mons), calls: map[int]msg.Connection{}, questions: map[uint64]*question{}}
	first := int(m.Rand64() % uint64(len(cfg.Mons)))
	c.hunt = newHunt(&c.cfg, len(cfg.Mons), first, m.Rand64)
	c.timer.Init(c)
	m.AddDispatcherHead(c)
	return c, c.w.Post(c)
}

// Messenger is the messenger that the Client runs on.
func (c *Client) Messenger() *async.Messenger { return c.m }

// Ready waits until a monitor has let this side in and has sent its map. Errors: ErrRefused if
// they refuse, ErrClosed, or ctx's, with what went wrong last.
func (c *Client) Ready(ctx context.Context) error {
	return c.wait(ctx, "a session with a monitor", func(s *state) (bool, error) { return s.up, s.refused })
}

// MonMap is the newest monitor map; without monitors: none has come yet.
func (c *Client) MonMap() wire.MonMap {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state.monMap
}

// Mon is the connection with the monitor, nil if there is no session. It is the Client's:
// what is sent on it is lost when it breaks, and it must not be marked down.
func (c *Client) Mon() msg.Connection {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state.conn
}

// OSDMap is the newest OSD map, if Config.OSDMap subscribes to it.
func (c *Client) OSDMap() OSDMaps {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state.osdMaps
}

// WaitOSDMap waits until the OSD map is of that epoch or a later one. Errors: ErrTooLarge if it
// is larger than Config.MapBytesMax, ErrClosed, or ctx's.
func (c *Client) WaitOSDMap(ctx context.Context, epoch uint32) (OSDMaps, error) {
	if !c.cfg.OSDMap {
		return OSDMaps{}, errors.New("mon: Config.OSDMap is not set")
	}
	err := c.wait(ctx, fmt.Sprintf("the OSD map of epoch %d", epoch), func(s *state) (bool, error) {
		return s.osdMaps.Epoch() >= epoch, s.mapErr
	})
	return c.OSDMap(), err
}

// wait waits until done says so, or fails.
func (c *Client) wait(ctx context.Context, what string, done func(*state) (bool, error)) error {
	if callback.Inside() == callback.Worker {
		return fmt.Errorf("mon: %w", msg.ErrOnWorker)
	}
	for {
		c.mu.Lock()
		ok, err := done(&c.state)
		closed, last, changed := c.state.closed, c.state.last, c.changed
		c.mu.Unlock()
		switch {
		case ok:
			return nil
		case closed:
			return ErrClosed
		case err != nil:
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return waited(what, context.Cause(ctx), last)
		}
	}
}

// waited is why a wait has ended without success.
func waited(what string, cause, last error) error {
	if last != nil {
		return fmt.Errorf("mon: waited for %s: %w; the last failure: %w", what, cause, last)
	}
	return fmt.Errorf("mon: waited for %s: %w", what, cause)
}

// set changes the state, and wakes who waits for that.
func (c *Client) set(f func(*state)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f(&c.state)
	close(c.changed)
	c.changed = make(chan struct{})
}

// closeMax is how long Close waits for a messenger that Open has made.
const closeMax = 10 * time.Second

// Close ends the session. Questions that wait are answered ErrClosed. A messenger that Open has
// made is shut down, for which Close waits, 10 s at most.
func (c *Client) Close() error {
	if c.own && callback.Inside() == callback.Worker {
		return fmt.Errorf("mon: %w", msg.ErrOnWorker)
	}
	if first := c.stop(); !c.own || !first {
		return nil
	}
	return shutdown(c.m)
}

// stop ends the client, but for its messenger, and says whether it has not ended before. Any
// goroutine.
func (c *Client) stop() (first bool) {
	c.set(func(s *state) { first, s.closed, s.up, s.conn = !s.closed, true, false, nil })
	if first {
		close(c.ended)
	}
	_ = c.w.Post(c) // refused: the stack is closed, and its connections with it
	return first
}

func shutdown(m *async.Messenger) error {
	ctx, cancel := context.WithTimeout(context.Background(), closeMax)
	defer cancel()
	return m.Shutdown(ctx)
}

func (c *Client) isClosed() bool {
	select {
	case <-c.ended:
		return true
	default:
		return false
	}
}
