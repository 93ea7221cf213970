package osd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/callback"
	"github.com/asyncmsgr/asyncmsgr/async/mon"
	"github.com/asyncmsgr/asyncmsgr/async/mon/wire"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// Config has bounds. The zero value works.
type Config struct {
	// AnswerTimeout is how long an OSD may leave an operation unanswered until it is asked
	// again, after the monitor was asked where the object is now; 0: 5 s.
	AnswerTimeout time.Duration
	// OpsMax bounds the operations under way; 0: 1024. Beyond that they are refused with
	// ErrBusy.
	OpsMax int
	// ReadMax bounds what Read returns; 0: 16 MiB. It has to be less than the messenger's
	// Config.Limits.Data, which is 64 MiB unless it says otherwise.
	ReadMax int
}

// Errors of operations. They are wrapped; compare with errors.Is.
var (
	// ErrBusy: as many operations are under way as may (Config.OpsMax).
	ErrBusy = errors.New("osd: too many operations")
	// ErrTooLarge: the object is larger than Config.ReadMax, or what is written is over a limit
	// of the OSD's (then it is an *Error too), or it, or an answer, is over one of this side's
	// messenger. Such an answer breaks the connection: all operations that were out on it end
	// with this error.
	ErrTooLarge = errors.New("osd: over a limit")
	// ErrAnswer: an answer that cannot be read.
	ErrAnswer = errors.New("osd: an answer that cannot be read")
)

// Error is an OSD's answer to an operation that it did not carry out.
type Error struct {
	// Namespace is "" for the default one.
	Pool, Namespace, Object string
	// Errno is positive, as Linux has it: 2 is ENOENT.
	Errno int
}

// Error is one line.
func (e *Error) Error() string {
	why := map[int]string{1: "operation not permitted", 2: "no such object", 13: "permission denied",
		22: "invalid argument", 27: "too large", 28: "no space", 36: "name too long",
		90: "too large at a time"}[e.Errno]
	if why == "" {
		why = "errno"
	}
	return fmt.Sprintf("osd: %s: the OSD answers -%d (%s)", named(e.Pool, e.Namespace, e.Object), e.Errno, why)
}

// Is makes errors of the package fs of some numbers, and ErrTooLarge of what is over
// osd_max_object_size or osd_max_write_size.
func (e *Error) Is(target error) bool {
	return (e.Errno == 27 || e.Errno == 90) && target == ErrTooLarge ||
		e.Errno == 2 && target == fs.ErrNotExist || (e.Errno == 1 || e.Errno == 13) && target == fs.ErrPermission
}

// Client reads and writes objects. It has no goroutine. Any goroutine may call the methods,
// which block, and answer msg.ErrOnWorker to what runs on a worker.
type Client struct {
	mon  *mon.Client
	m    *async.Messenger
	cfg  Config
	last atomic.Uint64 // tid, from that of numbers up

	mu  sync.Mutex
	ops map[uint64]*op // by tid
	// held are the blocks of OSDs. Connections that have none are not there.
	held map[msg.Connection]*backoffs
}

// numbers are those of the Clients of this process, of which each has the tids with its number in
// the upper bits. OSDs know an operation by the number of its client, which is the messenger's, and
// its tid: a tid that was used before, by another Client, gets the answer of that time, and
// is not carried out.
var numbers atomic.Uint64

// tidBits are the bits of a tid below the number of the Client.
const tidBits = 40

// op is an operation that is under way. Its channel has room for all that may come between two
// looks of its waiter: what comes beyond is of a try that is over.
type op struct {
	conn   msg.Connection // of the try that there is
	events chan event

	// What it is about, at the try that there is; Client.mu guards them, and conn.
	pg     wire.PG
	object wire.ObjectID
	// dropped: it has been in a block since it was sent, or was not sent because of one.
	dropped bool
	// changed, with room for one: a block that it is in has come or gone.
	changed chan struct{}
}

// event is what happened to a try.
type event struct {
	conn  msg.Connection
	reply *msg.Message // nil: the connection broke, for err
	err   error
}

// New returns a Client on mc's messenger, to whose chain it adds a dispatcher at each end, which handle
// what OSDs send: answers to MOSDOp, MOSDBackoff and MOSDMap.
func New(mc *mon.Client, cfg Config) (*Client, error) {
	switch {
	case mc == nil:
		return nil, errors.New("osd: there is no client of monitors")
	case cfg.AnswerTimeout < 0 || cfg.OpsMax < 0 || cfg.ReadMax < 0:
		return nil, errors.New("osd: Config.AnswerTimeout, OpsMax or ReadMax is negative")
	}
	if cfg.AnswerTimeout == 0 {
		cfg.AnswerTimeout = 5 * time.Second
	}
	if cfg.OpsMax == 0 {
		cfg.OpsMax = 1024
	}
	if cfg.ReadMax == 0 {
		cfg.ReadMax = 16 << 20
	}
	c := &Client{mon: mc, m: mc.Messenger(), cfg: cfg, ops: map[uint64]*op{}, held: map[msg.Connection]*backoffs{}}
	c.last.Store(numbers.Add(1) << tidBits)
	c.m.AddDispatcherHead(c)
	c.m.AddDispatcherTail(unclaimed{c.m.Logger()})
	return c, nil
}

// Objects are the objects of one namespace of a pool. A namespace is part of an object's name, and
// need not be made. The zero value is of no use; see Client.In.
type Objects struct {
	c         *Client
	namespace string
}

// In names a namespace ("rados -N"); "" is the default one, in which the methods of Client are.
func (c *Client) In(namespace string) Objects { return Objects{c, namespace} }

// Write makes data the whole of an object, which need not exist. data must not be changed until it
// returns. Errors: *Error of the OSD, *mon.CommandError of the monitor (fs.ErrNotExist: there is
// no such pool), ErrTooLarge, ErrBusy, those of mon.Client.Command, ctx's.
func (c *Client) Write(ctx context.Context, pool, object string, data []byte) error {
	return c.In("").Write(ctx, pool, object, data)
}

// Read returns an object. Its errors are those of Write; fs.ErrNotExist: there is no such object
// or pool.
func (c *Client) Read(ctx context.Context, pool, object string) ([]byte, error) {
	return c.In("").Read(ctx, pool, object)
}

// Delete removes an object. Its errors are those of Read.
func (c *Client) Delete(ctx context.Context, pool, object string) error {
	return c.In("").Delete(ctx, pool, object)
}

// Write is Client.Write in the namespace.
func (n Objects) Write(ctx context.Context, pool, object string, data []byte) error {
	_, err := n.c.do(ctx, pool, wire.OSDOp{Namespace: n.namespace, Object: object, Op: wire.OpWriteFull,
		Length: uint64(len(data)), Data: data})
	return err
}

// Read is Client.Read in the namespace.
func (n Objects) Read(ctx context.Context, pool, object string) ([]byte, error) {
	readMax := n.c.cfg.ReadMax
	// One byte more than may be: then it is known that there is more.
	data, err := n.c.do(ctx, pool, wire.OSDOp{Namespace: n.namespace, Object: object, Op: wire.OpRead,
		Length: uint64(readMax) + 1})
	if err == nil && len(data) > readMax {
		return nil, fmt.Errorf("%w: %s has more than %d bytes (Config.ReadMax)", ErrTooLarge,
			named(pool, n.namespace, object), readMax)
	}
	return data, err
}

// Delete is Client.Delete in the namespace.
func (n Objects) Delete(ctx context.Context, pool, object string) error {
	_, err := n.c.do(ctx, pool, wire.OSDOp{Namespace: n.namespace, Object: object, Op: wire.OpDelete})
	return err
}

// named is an object's name in errors.
func named(pool, namespace, object string) string {
	if namespace != "" {
		return pool + "/" + namespace + "/" + object
	}
	return pool + "/" + object
}

// do carries out an operation, with as many tries as it takes.
func (c *Client) do(ctx context.Context, pool string, o wire.OSDOp) ([]byte, error) {
	if callback.Inside() == callback.Worker {
		return nil, fmt.Errorf("osd: %w", msg.ErrOnWorker)
	}
	name := named(pool, o.Namespace, o.Object)
	o.TID, o.Seconds = c.last.Add(1), uint32(c.m.Clock().Wall().Unix())
	x := &op{events: make(chan event, 8), changed: make(chan struct{}, 1)}
	c.mu.Lock()
	busy := len(c.ops) >= c.cfg.OpsMax
	if !busy {
		c.ops[o.TID] = x
	}
	c.mu.Unlock()
	if busy {
		return nil, fmt.Errorf("%w: %d", ErrBusy, c.cfg.OpsMax)
	}
	defer func() {
		c.mu.Lock()
		delete(c.ops, o.TID)
		c.mu.Unlock()
	}()
	var last error
	for pause := pauseMin; ; pause = min(2*pause, pauseMax) {
		reply, err := c.try(ctx, x, pool, &o)
		switch {
		case err == nil:
			return c.result(pool, &o, reply)
		case ctx.Err() != nil && errors.Is(err, errHeld):
			return nil, fmt.Errorf("osd: %s: %w: %w", name, context.Cause(ctx), err)
		case ctx.Err() != nil && last != nil:
			return nil, fmt.Errorf("osd: %s: %w; the last failure: %w", name, context.Cause(ctx), last)
		case ctx.Err() != nil:
			return nil, fmt.Errorf("osd: %s: %w", name, context.Cause(ctx))
		case !errors.Is(err, errAgain):
			return nil, err
		}
		if errors.Is(err, errHeld) { // nothing was sent, and it has waited already
			pause = pauseMin
		}
		last = err
		o.Retry++
		if err := sleep(ctx, pause); err != nil {
			return nil, fmt.Errorf("osd: %s: %w; the last failure: %w", name, err, last)
		}
	}
}

// The pauses between tries, doubled from one to the next.
const (
	pauseMin = 20 * time.Millisecond
	pauseMax = 2 * time.Second
)

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// result is what an OSD's answer says.
func (c *Client) result(pool string, o *wire.OSDOp, m *msg.Message) ([]byte, error) {
	reply, err := wire.ParseOSDOpReply(m.Front)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrAnswer, named(pool, o.Namespace, o.Object), err)
	}
	result := reply.Result
	for _, r := range reply.Ops {
		if r < 0 && result >= 0 {
			result = r
		}
	}
	if result < 0 {
		return nil, &Error{Pool: pool, Namespace: o.Namespace, Object: o.Object, Errno: -int(result)}
	}
	return m.Data, nil
}
