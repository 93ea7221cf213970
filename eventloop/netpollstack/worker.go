//go:build linux && (amd64 || arm64 || loong64)

package netpollstack

import (
	"context"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"github.com/asyncmsgr/asyncmsgr/eventloop"
	"github.com/cloudwego/netpoll"
	"golang.org/x/sys/unix"
)

const (
	// tasksPerRound bounds how long posted tasks keep the sockets waiting.
	tasksPerRound = 1024
	// roundsPerAccept is how many rounds a busy worker runs before it gives
	// way to the other workers of its poller. Going through netpoll after every
	// round or two costs 1.7 times the CPU with 64-byte messages on 16
	// connections; above four it makes no difference.
	roundsPerAccept = 8
	// flushAfter is after how many received bytes a round writes what they have led to, before
	// it receives more. Messages that wait for the end of a long round have left the processor's cache
	// by then: with 256 connections and 64 messages in flight on each, that was a fifth of the time.
	// Each connection still writes once for each time that it has received.
	flushAfter = 32 << 10
	// unarmed is the deadline of a timerfd that is not armed.
	unarmed = time.Duration(1<<63 - 1)
)

// worker implements eventloop.Worker and netpoll.Listener.
type worker struct {
	// set once
	stack   *stack
	id      int
	clock   eventloop.Clock
	loop    netpoll.EventLoop
	eventfd int
	timerfd int
	host    int           // the epoll set that netpoll has; see joinNetpoll
	started chan struct{} // closed by the first round
	ended   chan struct{} // closed by the last one
	served  chan struct{} // closed when netpoll has let go of the worker

	// the carrier's; see carrier.go
	busy   busyPoll
	brief  busyPoll               // of a wait that keeps its P
	turn   func() (outcome, bool) // resumes the coroutine of turns; nil: there is none
	own    bool                   // the carrier is not netpoll's goroutine
	hosted atomic.Bool            // it is: netpoll waits for the worker
	aside  asideWatch

	// the coroutine's, and its carrier's while it stands still
	yield func(outcome) bool
	job   func() // to be run aside
	stays bool   // the job that was run aside has not returned

	// any goroutine
	mailbox   eventloop.Mailbox
	load      atomic.Int32 // transports, and sockets detached from here
	listening atomic.Int32 // listening sockets
	roundTime atomic.Int64 // now while a round runs, 0 otherwise
	locals    sync.Map     // see LoadOrStore
	asleep    atomic.Bool  // changed by who has the token
	shown     shown

	// token is held by who is the worker at the moment: the poller goroutine while
	// it runs Accept, or the goroutine that the worker is lent to. It guards the fields
	// below.
	token    sync.Mutex
	poll     *pollSet
	now      time.Duration // of the round's beginning, or later: see tick
	sweep    sweep
	timers   eventloop.TimerHeap
	armed    time.Duration     // deadline that the timerfd is armed for
	ready    []unix.EpollEvent // of this round; what is behind handled is still to be handled
	handled  int
	dirty    worklist[*transport] // want HandleFlush
	failed   worklist[failure]    // reported at the beginning of the next round
	scratch  []byte
	iovecs   []unix.Iovec
	tcpInfo  unix.TCPInfo
	lingers  int // lingering sockets
	did      activity
	events   int // since the worker woke up
	received int // bytes, since the last flush
	running  bool
	turning  bool // the coroutine runs: nobody has borrowed the worker
	stopping bool

	// calling is whose callback runs or ran last; nil: that of a task of the mailbox, or
	// of somebody who need not know that the callback did not return. See turns.
	calling     any
	interrupted bool // that callback did not return, and its owner has not been told yet
}

// failure is a HandleClosed that must not happen within the call that caused it.
type failure struct {
	t   *transport
	err error
}

func newWorker(s *stack, id int) (*worker, error) {
	w := &worker{
		stack: s, id: id, clock: s.clock, eventfd: -1, timerfd: -1, host: -1,
		started: make(chan struct{}), ended: make(chan struct{}), served: make(chan struct{}), armed: unarmed,
		sweep:   sweep{due: unarmed},
		scratch: make([]byte, s.cfg.ReadBuffer), iovecs: make([]unix.Iovec, iovMax),
	}
	w.mailbox.Init(w.kick)
	w.aside.timer = time.AfterFunc(time.Hour, w.checkAside)
	w.aside.timer.Stop()
	if err := w.openDescriptors(); err != nil {
		w.closeDescriptors()
		return nil, err
	}
	return w, nil
}

func (w *worker) openDescriptors() (err error) {
	if w.poll, err = newPollSet(); err != nil {
		return err
	}
	// The eventfd begins readable, so that the first round runs at once. Both
	// are edge-triggered: a write or an expiry is one event, nobody reads them.
	if w.eventfd, err = unix.Eventfd(1, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC); err != nil {
		return os.NewSyscallError("eventfd", err)
	}
	if w.timerfd, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC); err != nil {
		return os.NewSyscallError("timerfd_create", err)
	}
	const edges = unix.EPOLLIN | unix.EPOLLET
	if err = w.poll.control(unix.EPOLL_CTL_ADD, w.eventfd, w.poll.insert(wakeUp{}), edges); err != nil {
		return err
	}
	if err = w.poll.control(unix.EPOLL_CTL_ADD, w.timerfd, w.poll.insert(alarm{w}), edges); err != nil {
		return err
	}
	if w.host, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return os.NewSyscallError("epoll_create1", err)
	}
	w.hosted.Store(true)
	if err = w.show(unix.EPOLL_CTL_ADD, unix.EPOLLIN); err != nil {
		return err
	}
	w.loop, err = netpoll.NewEventLoop(nil)
	return err
}

// wakeUp is the eventfd: its only purpose is to make the set readable.
type wakeUp struct{}

func (wakeUp) handleEvents(uint32) {}
func (wakeUp) closeDescriptor()    {}

// alarm is the timerfd.
type alarm struct{ w *worker }

func (a alarm) handleEvents(uint32) { a.w.armed = unarmed }
func (a alarm) closeDescriptor()    {}

// serve gives the worker to netpoll and waits for its first round.
func (w *worker) serve() error {
	failed := make(chan error, 1)
	go func() {
		defer close(w.served)
		if err := w.loop.Serve(w); err != nil {
			failed <- err
		}
	}()
	select {
	case <-w.started:
		return nil
	case err := <-failed:
		return err
	}
}

// work runs rounds until nothing is left to do, or the other workers of the poller have
// waited long enough. It says whether the worker may sleep now. If the last call of work
// did not return, this one goes on with the round of that one.
func (w *worker) work() outcome {
	w.token.Lock()
	defer w.token.Unlock()
	w.turning = true
	defer func() { w.turning = false }()
	w.asleep.Store(false)
	w.mailbox.Awake()
	if !w.running {
		w.running = true
		close(w.started)
	}
	if w.interrupted {
		w.interrupted = false
		w.tellAbandoned()
	}
	w.events = 0
	for range roundsPerAccept {
		if w.stopping {
			break
		}
		if more := w.round(); !more || w.sweep.again {
			break
		}
	}
	if w.stopping {
		w.end()
		return busy
	}
	w.did.wakeups++
	w.shown.show(&w.did)
	w.calling = nil // keeps no closed transport in memory
	w.roundTime.Store(0)
	// Ready sockets keep the set readable; whatever else is left needs a kick.
	if w.hasLeftovers() || !w.armTimer() || !w.mailbox.Sleep() {
		if !w.own {
			w.kick()
		}
		return busy
	}
	w.sweep.due = w.armed
	w.asleep.Store(true)
	return sleepy
}

// hasLeftovers says that the next round has something to do whatever happens.
func (w *worker) hasLeftovers() bool {
	return !w.dirty.empty() || !w.failed.empty() || w.sweep.again
}

// LoadOrStore implements eventloop.Local.
func (w *worker) LoadOrStore(key, v any) any {
	have, _ := w.locals.LoadOrStore(key, v)
	return have
}

// round handles everything that is ready once, in the order that package
// eventloop promises, and says whether there may be more to do right away. How far the
// round has come is kept in the worker: when user code has ended the coroutine, and so the
// round, the next round goes on with all that was left.
func (w *worker) round() bool {
	w.did.rounds++
	w.setNow(w.clock.Now())
	w.reportFailures()
	if w.handled == len(w.ready) {
		w.sweep.begin(w.now, w.poll.size())
		w.ready, w.handled = w.poll.wait(), 0
		w.events += len(w.ready)
		w.did.events += uint64(len(w.ready))
		w.sweep.fetched(len(w.ready))
	}
	w.handleReady()
	w.sweep.end(w.now)
	w.fireTimers()
	tasks := w.runTasks()
	w.flush()
	return len(w.ready) > 0 || tasks > 0 || w.hasLeftovers()
}

func (w *worker) reportFailures() {
	w.failed.begin()
	for f, ok := w.failed.take(); ok; f, ok = w.failed.take() {
		f.t.fail(f.err)
		w.tick()
	}
}

func (w *worker) handleReady() {
	for w.handled < len(w.ready) {
		ev := &w.ready[w.handled]
		w.handled++
		if p := w.poll.lookup(ev); p != nil {
			p.handleEvents(ev.Events)
			w.tick()
			if w.received >= flushAfter {
				w.runTasks()
				w.flush()
			}
		}
	}
}

// fireTimers fires the timers whose deadlines had passed before the worker looked into
// its sockets. Events that might have moved such a deadline have been handled by then.
func (w *worker) fireTimers() {
	now := w.sweep.seen
	w.timers.Expire(now)
	for t := w.timers.PopExpired(); t != nil; t = w.timers.PopExpired() {
		w.calling = t.Handler()
		t.Fire(now)
		w.tick()
	}
}

func (w *worker) runTasks() int {
	w.calling = nil // the mailbox knows
	n := w.mailbox.Due(tasksPerRound)
	w.did.tasks += uint64(n)
	for range n {
		w.mailbox.RunNext()
		w.tick()
	}
	return n
}

// flush calls HandleFlush of the transports that asked for that. A transport that asks
// again meanwhile is called in the next round.
func (w *worker) flush() {
	w.received = 0
	w.dirty.begin()
	for t, ok := w.dirty.take(); ok; {
		t.flush()
		if t, ok = w.dirty.take(); ok {
			w.tick()
		}
	}
}

func (w *worker) setNow(now time.Duration) {
	w.now = now
	w.roundTime.Store(int64(now))
}

// tick stands between two callbacks of a round: if the first callback has held up the
// round, the second sees the time after that. Otherwise the time does not move. A look at
// the clock costs 30 ns, a callback and its system call a microsecond and more.
func (w *worker) tick() {
	if now := w.clock.Now(); now-w.now >= tickMin {
		w.setNow(now)
	}
}

// armTimer has the timerfd fire at the next deadline, at the latest. It returns
// false if that has come already.
func (w *worker) armTimer() bool {
	at, ok := w.timers.Next()
	if !ok || at >= w.armed {
		return true
	}
	d := at - w.clock.Now()
	if d <= 0 {
		return false
	}
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(d))}
	if err := unix.TimerfdSettime(w.timerfd, 0, &spec, nil); err != nil {
		panic("netpollstack: timerfd_settime: " + err.Error())
	}
	w.armed = at
	return true
}

var one = uint64(1)

// kick makes the epoll set readable; any goroutine, until the mailbox is closed.
func (w *worker) kick() {
	_, _, e := syscall.RawSyscall(unix.SYS_WRITE, uintptr(w.eventfd), uintptr(unsafe.Pointer(&one)), unsafe.Sizeof(one))
	if e != errNone {
		panic("netpollstack: write to eventfd: " + e.Error())
	}
}

// end runs what was posted, closes everything and leaves netpoll. The poller
// goroutine waits for it, so no event of this worker can be under way there.
func (w *worker) end() {
	w.mailbox.Close()
	w.calling = nil
	for w.mailbox.Run(tasksPerRound) > 0 {
	}
	w.poll.closeAll()
	w.dirty, w.failed = worklist[*transport]{}, worklist[failure]{}
	_ = w.loop.Shutdown(context.Background()) // Serve returns nil
	w.aside.timer.Stop()
	w.closeDescriptors()
	w.roundTime.Store(0)
}

func (w *worker) closeDescriptors() {
	if w.poll != nil {
		unix.Close(w.poll.fd)
	}
	for _, fd := range []int{w.host, w.eventfd, w.timerfd} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
}

// Addr implements netpoll.Listener; a worker has no address.
func (w *worker) Addr() net.Addr { return &net.UnixAddr{Name: "netpollstack worker", Net: "unix"} }

// Fd implements netpoll.Listener.
func (w *worker) Fd() int { return w.host }

// Close implements netpoll.Listener; the worker closes its descriptors itself.
func (w *worker) Close() error { return nil }

func (w *worker) ID() int   { return w.id }
func (w *worker) Load() int { return int(w.load.Load()) }

func (w *worker) Post(t eventloop.Task) error { return w.mailbox.Post(t) }

// Now is, for other goroutines, up to one round old while the worker is busy.
func (w *worker) Now() time.Duration {
	if now := w.roundTime.Load(); now != 0 {
		return time.Duration(now)
	}
	return w.clock.Now()
}

func (w *worker) SetTimer(t *eventloop.Timer, at time.Duration) { w.timers.Set(t, at) }
func (w *worker) StopTimer(t *eventloop.Timer)                  { w.timers.Stop(t) }
