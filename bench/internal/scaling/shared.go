package scaling

import (
	"context"
	"io"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection"
	"github.com/asyncmsgr/asyncmsgr/dispatch"
	"github.com/asyncmsgr/asyncmsgr/eventloop"
)

// Lines are all that two workers of one process share on the way of a message, the most
// expensive first, and behind these what is near that way and not on it.
func Lines() []Line {
	return []Line{
		{
			Name: "queue, 1 a read", What: "Queue.mu: a turn in place begins and ends",
			Where: "dispatch/inplace.go, turn.go",
			Fast:  never, Queue: func(read float64) float64 {
				if read >= turnMax {
					return 0
				}
				return perRead(read)
			}, begin: queueLine(1, true),
		}, {
			Name: "queue, 16 a read", What: "the same with 16 messages, of which each counts",
			Where: "dispatch/inplace.go, turn.go",
			Fast:  never, Queue: func(read float64) float64 {
				if read >= turnMax {
					return 1
				}
				return 0
			}, begin: queueLine(turnMax, true),
		}, {
			Name: "queue, 16 a read, pool", What: "Queue.mu: a batch in, turns out; each message counts",
			Where: "dispatch/queue.go, drain.go", Fast: never, Queue: never, begin: queueLine(turnMax, false),
		}, {
			Name: "throttle", What: "Throttle.mu: taken and given back", Where: "dispatch/throttle.go",
			Fast: perRead, Queue: func(read float64) float64 { return perRead(read) + perTurn(read)/2 },
			begin: throttleLine,
		}, {
			Name: "pool", What: "AntsPool.gate and mu, ants' lock, a goroutine woken",
			Where: "dispatch/antspool.go", Fast: never, Queue: never, begin: poolLine,
		}, {
			Name: "mailbox", What: "Mailbox.mu of another's worker: a task posted",
			Where: "eventloop/mailbox.go", Fast: never, Queue: never, begin: mailboxLine,
		}, {
			Name: "conn", What: "Conn.mu: a message accounted for, and given back",
			Where: "connection/send.go, account.go", Fast: never, Queue: never, begin: connLine,
		}, {
			Name: "send total", What: "SendTotal: beyond 64 KiB of a connection",
			Where: "connection/account.go", Fast: never, Queue: never, begin: totalLine,
		}, {
			Name: "registry", What: "Registry.mu: a look-up", Where: "connection/registry.go",
			Fast: never, Queue: never, begin: registryLine,
		}, {
			Name: "shared counter", What: "a counter of what is rare", Where: "connection/counter.go",
			Fast: never, Queue: never, begin: sharedCounterLine,
		}, {
			Name: "default priority", What: "an atomic that is only read", Where: "connection/send.go",
			Fast: never, Queue: never, begin: priorityLine,
		}, {
			Name: "worker's counters", What: "Stats of neighbours in one slice", Where: "connection/counter.go",
			Own: true, Fast: never, Queue: never, begin: countersLine,
		}, {
			Name: "message pool", What: "sync.Pool of messages", Where: "async/msg/message.go",
			Own: true, Fast: never, Queue: never, begin: messagesLine,
		},
	}
}

// padded keeps what goroutines have for themselves off each other's cache lines.
type padded[T any] struct {
	v T
	_ [128]byte
}

var discard = slog.New(slog.NewTextHandler(io.Discard, nil))

// nothing is a handler that has nothing to do: what remains is the queue's.
type nothing struct{}

func (nothing) Handle(*dispatch.Item) dispatch.Outcome { return dispatch.Handled }

// here is a worker that runs jobs at once.
type here struct{}

func (here) RunAside(job func()) (ran, stays bool) {
	job()
	return true, false
}

// queueLine has workers that each read so many messages of a connection at a time, for one
// queue; an operation is a message.
func queueLine(read int, inPlace bool) func(int) (func(int, int), func()) {
	return func(goroutines int) (func(int, int), func()) {
		pool, err := dispatch.NewAntsPool(dispatch.AntsConfig{Logger: discard})
		if err != nil {
			panic(err)
		}
		epoch := time.Now()
		var looks atomic.Int64
		q := dispatch.New(dispatch.Config{
			Executor: pool, Handler: nothing{}, Width: max(4, goroutines), Logger: discard,
			Clock: func() time.Duration { return time.Since(epoch) }, StuckLimit: -1, InPlace: placement(inPlace),
			// A long turn was preempted: the handler has nothing to do. So it stays in place.
			Usage: func() dispatch.Usage { return dispatch.Usage{Thread: 1, Preempted: looks.Add(1)} },
		})
		type lane struct {
			items []dispatch.Item
			m     msg.Message
		}
		lanes := make([]padded[lane], goroutines)
		batch := func(g int) []dispatch.Item {
			l := &lanes[g].v
			l.items = l.items[:0]
			for range read {
				l.items = append(l.items, dispatch.Item{
					Kind: dispatch.KindMessage, Priority: msg.PriorityDefault, Class: uint64(g + 1), Msg: &l.m,
				})
			}
			return l.items
		}
		for inPlace && !q.Stats().InPlaceNow {
			_ = q.EnqueueBatch(batch(0))
			runtime.Gosched()
		}
		op := func(g, n int) {
			for ; n > 0; n -= read {
				if !inPlace {
					_ = q.EnqueueBatch(batch(g))
				} else if keeps, _ := q.EnqueueBatchAt(here{}, batch(g)); keeps {
					lanes[g].v.items = nil
				}
			}
			for q.Len() > backlogMax {
				runtime.Gosched()
			}
		}
		end := func() {
			for q.Len() > 0 { // Stop would release the same messages again and again
				runtime.Gosched()
			}
			_ = q.Stop(context.Background())
			_ = pool.Release(context.Background())
		}
		return op, end
	}
}

// backlogMax is how many messages wait in a queue until those who bring more wait too.
const backlogMax = 4096

// throttleLine takes and gives back what a read does.
func throttleLine(int) (func(int, int), func()) {
	t := dispatch.NewThrottle(100 << 20)
	return func(_, n int) {
		for range n {
			t.Acquire(32<<10, nil)
			t.Release(32 << 10)
		}
	}, nil
}

// poolLine submits jobs, of which each goroutine has a few under way.
func poolLine(goroutines int) (func(int, int), func()) {
	pool, err := dispatch.NewAntsPool(dispatch.AntsConfig{Logger: discard})
	if err != nil {
		panic(err)
	}
	const under = 8
	type lane struct {
		free chan struct{}
		job  func()
	}
	lanes := make([]padded[lane], goroutines)
	for g := range lanes {
		free := make(chan struct{}, under)
		for range under {
			free <- struct{}{}
		}
		lanes[g].v = lane{free, func() { free <- struct{}{} }}
	}
	op := func(g, n int) {
		l := &lanes[g].v
		for range n {
			<-l.free
			if pool.Submit(l.job) != nil {
				l.free <- struct{}{}
			}
		}
	}
	return op, func() { _ = pool.Release(context.Background()) }
}

// task does nothing.
type task struct{}

func (task) Run() {}

// mailboxLine posts to a worker that is awake, which the first goroutine is too.
func mailboxLine(int) (func(int, int), func()) {
	m := new(eventloop.Mailbox)
	m.Init(func() {})
	return func(g, n int) {
		for range n {
			_ = m.Post(task{})
		}
		if g == 0 {
			m.Run(1 << 30)
		}
	}, nil
}

// account is a connection's, with its lock.
type account struct {
	mu sync.Mutex
	connection.Account
}

func (a *account) takeAndGive(m *msg.Message, size int64) {
	a.mu.Lock()
	_, _ = a.Take(m, false)
	a.mu.Unlock()
	a.mu.Lock()
	a.GiveOne(size)
	a.mu.Unlock()
}

// connLine is many senders of one connection: what Send does under its lock, and what the
// worker does when the message is out.
func connLine(goroutines int) (func(int, int), func()) {
	a := new(account)
	a.Init(&connection.SendLimits{MessagesMax: 1 << 16, BytesMax: 100 << 20})
	ms := make([]padded[msg.Message], goroutines)
	return func(g, n int) {
		for range n {
			a.takeAndGive(&ms[g].v, 0)
		}
	}, nil
}

// totalLine is connections that each hold more than is free of the total.
func totalLine(goroutines int) (func(int, int), func()) {
	limits := &connection.SendLimits{
		MessagesMax: 1 << 16, BytesMax: 100 << 20, Total: connection.NewSendTotal(1 << 40),
	}
	type lane struct {
		account
		m msg.Message
	}
	lanes := make([]padded[lane], goroutines)
	for g := range lanes {
		l := &lanes[g].v
		l.Init(limits)
		l.m.Data = make([]byte, connection.TotalFree+4096)
	}
	return func(g, n int) {
		l := &lanes[g].v
		for range n {
			l.takeAndGive(&l.m, int64(len(l.m.Data)))
		}
	}, nil
}

// peer is a connection for a registry.
type peer struct{ id uint64 }

func (p *peer) ID() uint64     { return p.id }
func (p *peer) IsClosed() bool { return false }
func (p *peer) Follow()        {}

func registryLine(int) (func(int, int), func()) {
	r := new(connection.Registry[*peer])
	r.Init()
	addrs, err := entity.ParseAddrVec("v2:127.0.0.1:6800/1")
	if err != nil {
		panic(err)
	}
	if _, err := r.Add(&peer{1}, addrs, false); err != nil {
		panic(err)
	}
	return func(_, n int) {
		for range n {
			r.Lookup(addrs)
		}
	}, nil
}

func sharedCounterLine(int) (func(int, int), func()) {
	c := new(connection.SharedCounter)
	return func(_, n int) {
		for range n {
			c.Add(1)
		}
	}, nil
}

func priorityLine(goroutines int) (func(int, int), func()) {
	var priority atomic.Uint32
	sums := make([]padded[uint32], goroutines)
	return func(g, n int) {
		for range n {
			sums[g].v += priority.Load()
		}
	}, nil
}

func countersLine(goroutines int) (func(int, int), func()) {
	stats := make([]connection.Stats, goroutines)
	return func(g, n int) {
		c := &stats[g].Received
		for range n {
			c.Add(1)
		}
	}, nil
}

func messagesLine(int) (func(int, int), func()) {
	return func(_, n int) {
		for range n {
			msg.New(1, 64).Release()
		}
	}, nil
}

// placement is where the callbacks of a queue run.
func placement(inPlace bool) dispatch.Placement {
	if inPlace {
		return dispatch.OnWorker
	}
	return dispatch.OnPool
}
