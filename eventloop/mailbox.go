package eventloop

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// mailboxKeep is the largest buffer, in tasks, that a mailbox keeps after a
// burst; 16 bytes each.
const mailboxKeep = 1 << 16

// Mailbox holds the tasks posted to one worker: any goroutine posts, the worker
// runs them in the order of posting. Two slices change places, so that nothing
// is allocated in the steady state. The length has no limit of its own: posting
// never blocks and never fails before Close, so whoever posts keeps at most a
// few tasks in flight, as a connection does.
//
// The worker's life is Awake, Run, ..., Sleep: while it is awake a post needs
// no wake-up, because the worker looks at the mailbox before it sleeps.
//
// Implementation: not for users of the library; may change in any release.
type Mailbox struct {
	wake   func()       // any goroutine; set once
	waking atomic.Int32 // posters that are calling wake

	mu       sync.Mutex
	in       []Task // posted, not yet taken by the worker
	sleeping bool   // the next post has to wake the worker
	closed   bool

	// worker only
	out  []Task // taken; out[next:] is still to be run
	next int
}

// Init sets the function that wakes the worker. It is called by the goroutine
// that posts, at most once for each Sleep, and must not post itself. Call Init
// before anything else; the worker counts as awake.
func (m *Mailbox) Init(wake func()) { m.wake = wake }

// Post appends t and wakes the worker if it sleeps; any goroutine. After Close
// it returns ErrStackClosed and t will not run.
func (m *Mailbox) Post(t Task) error {
	if t == nil {
		panic("eventloop: nil Task posted")
	}
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return ErrStackClosed
	}
	m.in = append(m.in, t)
	wake := m.sleeping
	if wake {
		m.sleeping = false
		m.waking.Add(1)
	}
	m.mu.Unlock()
	if wake {
		m.wake()
		m.waking.Add(-1)
	}
	return nil
}

// Len is the number of tasks that were posted and not taken by the worker yet; any goroutine.
func (m *Mailbox) Len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.in)
}

// Awake says that the worker is running and will look at the mailbox before it
// sleeps again; worker only.
func (m *Mailbox) Awake() {
	m.mu.Lock()
	m.sleeping = false
	m.mu.Unlock()
}

// Sleep says that the worker is going to sleep: the next post wakes it. It
// returns false, and the worker has to go on, if there are tasks left; worker
// only.
func (m *Mailbox) Sleep() bool {
	if m.next < len(m.out) {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.in) > 0 {
		return false
	}
	m.sleeping = true
	return true
}

// Run runs the tasks that were posted before the call, at most limit of them,
// and returns how many; worker only. Tasks posted by these tasks are for the
// next Run.
func (m *Mailbox) Run(limit int) int {
	n := m.Due(limit)
	for range n {
		m.RunNext()
	}
	return n
}

// Due is Run for who has something to do between two tasks: it returns how many of
// them RunNext is to run, one with each call. Worker only.
func (m *Mailbox) Due(limit int) int {
	if m.next == len(m.out) && !m.swap() {
		return 0
	}
	return min(limit, len(m.out)-m.next)
}

// RunNext runs the next task of those that Due counted; worker only.
func (m *Mailbox) RunNext() {
	i := m.next
	m.next++
	m.out[i].Run()
	m.out[i] = nil
}

// Interrupted returns, once, the task whose Run did not return to Run because it
// ended its goroutine; nil if there is none. Worker only, between two Runs. The
// tasks behind it are for the next Run.
func (m *Mailbox) Interrupted() Task {
	if m.next == 0 {
		return nil
	}
	t := m.out[m.next-1]
	m.out[m.next-1] = nil
	return t
}

// swap takes everything posted so far and says whether there was anything.
func (m *Mailbox) swap() bool {
	empty := m.out[:0]
	if cap(empty) > mailboxKeep {
		empty = nil
	}
	m.mu.Lock()
	m.out, m.in = m.in, empty
	m.mu.Unlock()
	m.next = 0
	return len(m.out) > 0
}

// Close refuses all further posts; worker only, it may be repeated. What was
// posted before is still there for Run. When Close returns, no wake-up is in
// progress and none follows, so that what wake uses may be released.
func (m *Mailbox) Close() {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	for m.waking.Load() != 0 {
		runtime.Gosched()
	}
}
