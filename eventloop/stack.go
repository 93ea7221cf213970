package eventloop

import (
	"net/netip"
	"time"
)

// Stack is a network with a fixed number of workers. It is opened once and
// shared by any number of messengers; a messenger or a connection costs it no
// goroutine. All methods may be called by any goroutine.
//
// An IPv4 address in IPv6 clothes (::ffff:192.0.2.1) counts as IPv4 wherever a stack is
// given it. A zone is the name or the number of an interface. The addresses that a
// stack reports are never mapped, and their zones are numbers.
type Stack interface {
	// NumWorkers is the number of workers, at least 1 and constant.
	NumWorkers() int
	// Worker returns worker i, 0 <= i < NumWorkers.
	Worker(i int) Worker
	// Pick returns the worker with the least load, for a new connection.
	Pick() Worker
	// Clock is the clock that the workers' timers run on.
	Clock() Clock
	// Listen binds addr (port 0: the kernel picks) and accepts on one of the
	// workers. On an unspecified address it accepts for all addresses of the host, and a
	// Socket's LocalAddr is the one that was dialled. The socket is bound and listening when Listen returns; accept
	// runs on the listener's worker for every accepted socket and owns it: it
	// hands it to a worker's Adopt or closes it. If it ends its goroutine instead
	// (runtime.Goexit), the socket is closed, handed on or not.
	Listen(addr netip.AddrPort, cfg ListenConfig, accept func(Socket)) (Listener, error)
	// Close stops all workers. Sockets still open are closed without callbacks,
	// tasks still posted are run or refused, never forgotten. It returns when
	// no callback runs any more, and must not be called by a worker.
	Close() error
}

// Worker is one event loop. Post, ID, Load and Now may be called by any
// goroutine, the rest by the worker's own callbacks and tasks only.
type Worker interface {
	// ID is the worker's index in its stack.
	ID() int
	// Load is the number of transports and detached sockets assigned to it.
	Load() int
	// Post has the worker run t soon, in the order of posting. It never blocks.
	// After the stack was closed it returns ErrStackClosed and t will not run.
	Post(t Task) error

	// Now is the stack's monotonic time. It does not move inside a callback, where it
	// is the time at which the current round began or, if callbacks earlier in the round
	// have held it up by a millisecond or more, the time after that.
	Now() time.Duration
	// SetTimer arms t to fire at the time at (see Now), or moves it there when
	// armed already. It fires once, and not before the worker has looked into its
	// sockets after that time: see TimerHandler.
	SetTimer(t *Timer, at time.Duration)
	// StopTimer disarms t; afterwards its handler is not called any more.
	StopTimer(t *Timer)
	// Dial starts a connection and returns at once. The outcome arrives later,
	// never from within Dial: HandleConnected, or HandleClosed with an error
	// that wraps the system's (syscall.ECONNREFUSED, ENETUNREACH, ...) or
	// ErrDialTimeout.
	Dial(remote netip.AddrPort, cfg DialConfig, h Handler) Transport
	// Adopt makes a socket, from accept or Detach, one of this worker's. There
	// is no HandleConnected for it.
	Adopt(s Socket, h Handler) Transport
}

// Local is what a Worker may have in addition: room for values that belong to it,
// shared by all who use the worker. Any goroutine may call LoadOrStore, which
// returns the value under key, v if there was none. Workers that run on one and the same
// goroutine may share their values.
type Local interface {
	LoadOrStore(key, v any) any
}

// Lender is what a Worker may be in addition: one that another goroutine can be
// for a moment while it sleeps, instead of waking it.
type Lender interface {
	// Lend runs t now on the calling goroutine, as if on the worker, and returns
	// true. Or it returns false at once and t will not run: the worker is awake, or
	// lent already, or its stack is closed. Any goroutine; it never waits.
	//
	// Meanwhile nobody else is the worker, so t is short. It may use what belongs to
	// the worker, but must not call what may block or take a lock that is held
	// while Lend is called: nothing of the user's. What it leaves to be done
	// (WantFlush, timers, tasks that it posted) the worker does afterwards.
	Lend(t Task) bool
}

// Asider is what a Worker may be in addition: one that runs what may be held up, and
// does not wait for it for long.
type Asider interface {
	// RunAside runs job, and nothing else of the worker meanwhile. It returns when job has
	// returned; or, with stays set, when job has held up the worker for a millisecond or
	// so: the worker goes on without it, and job on its own, on its goroutine. ran is false
	// if it did not run at all, and will not: that cannot be done now.
	//
	// job may do what it likes: block, end its goroutine (runtime.Goexit), wait for
	// what the worker does. But it must not panic, nor use what is the worker's. To be
	// called on the worker, and never with a lock held. Now may have moved afterwards.
	RunAside(job func()) (ran, stays bool)
}

// Abandoner is what a Handler, a TimerHandler or a Task may be in addition: one
// that wants to know that a call of it did not return, because user code in it ended
// the goroutine (runtime.Goexit, and with it t.FailNow). The worker goes on on
// another goroutine; what the call had not done yet is not done. Abandoned is called
// on the worker, soon, and before anything else of that Handler or Task, also where the
// call was the last one (HandleClosed, or one that had closed the transport). It may do
// whatever a callback may. If it does not return either, it is not called again for that.
type Abandoner interface{ Abandoned() }

// Hosted is what a Stack may be in addition: one that knows the machine it is on. Any
// goroutine may call the methods.
type Hosted interface {
	// HostAddrs returns the addresses of the host, those first by which others most
	// likely reach it: the one that connections to far away leave from, then other
	// global ones, then link-local ones (with their zones) and those of loopback
	// interfaces.
	HostAddrs() ([]netip.Addr, error)
	// ZoneID is the number of the network interface of that name or number, which is
	// what an IPv6 zone means on this host.
	ZoneID(zone string) (id uint32, ok bool)
}

// Meter is what a Stack may be in addition: one that knows what its threads do.
type Meter interface {
	// ThreadUsage is that of the calling goroutine's thread, as of now.
	ThreadUsage() ThreadUsage
}

// ThreadUsage is what a thread has used since it began.
type ThreadUsage struct {
	// Thread is another number for each thread; 0: nothing is known.
	Thread int
	// CPU is the time that it has run.
	CPU time.Duration
	// Preempted is how often it was ready to run, and another one ran in its place.
	Preempted int64
}

// Watched is what a Stack may be in addition: one that tells what its workers do. Any
// goroutine may call the methods; they do not wait for a worker.
type Watched interface {
	// Activity is that of worker i, 0 <= i < NumWorkers.
	Activity(i int) Activity
}

// Activity is what a worker has done since it began, and does.
type Activity struct {
	// Wakeups is how often it woke up, or went on after others on its thread had their turn;
	// Rounds is how often it has looked at its sockets, Events what it found there, and Tasks
	// the posted tasks that it ran. They are as of the last time that it fell asleep, or made
	// way for others.
	Wakeups, Rounds, Events, Tasks uint64
	// Posted is the number of tasks that wait.
	Posted int
	// InRound is for how long it has not looked at the clock: a callback that holds it up
	// runs for as long. 0: it sleeps.
	InRound time.Duration
}

// Task is work for a worker. Run is called once per Post, on the worker.
type Task interface{ Run() }

// TaskFunc makes a function a Task.
type TaskFunc func()

// Run calls f.
func (f TaskFunc) Run() { f() }

// ListenConfig holds the options of a listening socket; the zero value works.
type ListenConfig struct {
	// Backlog of the listening socket; 0 means 512.
	Backlog int
	// V6Only keeps a listener on [::] to IPv6. Otherwise it takes IPv4 connections as
	// well, as net.Listen's does; their addresses are plain IPv4 ones.
	V6Only bool
	Socket SocketOptions
	// OnError is told of accept failures (EMFILE, ENFILE, ...), at most one
	// report per back-off period, on the listener's worker. nil ignores them;
	// the listener goes on in either case.
	OnError func(error)
}

// DialConfig holds the options of an outgoing connection; the zero value works.
type DialConfig struct {
	// Local address to bind before connecting; the zero value lets the kernel choose.
	Local netip.AddrPort
	// Timeout for the TCP connect; 0 leaves it to the kernel.
	Timeout time.Duration
	Socket  SocketOptions
}

// SocketOptions are applied to accepted and dialled sockets. TCP_NODELAY is
// always on.
type SocketOptions struct {
	// RecvBuffer and SendBuffer in bytes (SO_RCVBUF, SO_SNDBUF); 0 leaves the kernel's.
	RecvBuffer, SendBuffer int
	// UnsentMax bounds the bytes that a socket holds without having sent them
	// (TCP_NOTSENT_LOWAT): nothing overtakes what is there. 0 means what the connection
	// delivers in 2 ms, measured while its socket is full, 4 KiB at the least and 128 KiB at
	// the most; negative no bound but SendBuffer. A low one costs throughput where the
	// worker cannot fill it again in time.
	UnsentMax int
	// Priority is SO_PRIORITY; 0 leaves it unset.
	Priority int
	// UserTimeout is TCP_USER_TIMEOUT; 0 leaves it unset.
	UserTimeout time.Duration
}

// Listener is a listening socket. Its methods may be called by any goroutine.
type Listener interface {
	// Addr is the bound address with the real port.
	Addr() netip.AddrPort
	// Close stops accepting. The socket is closed soon after; accept may still
	// be running, but is not called any more once the worker has seen the close.
	Close() error
}

// Socket is an established connection that belongs to no worker at the moment.
// It has one owner, who adopts it or closes it.
type Socket interface {
	LocalAddr() netip.AddrPort
	RemoteAddr() netip.AddrPort
	// Close closes the connection; any goroutine.
	Close() error
}

// Transport is a byte stream owned by a worker; all methods are worker only.
type Transport interface {
	LocalAddr() netip.AddrPort
	RemoteAddr() netip.AddrPort
	// Write hands bytes to the network and never blocks. It returns how many
	// were taken, of all slices together; fewer than all means that the socket
	// is full, and HandleFlush follows when it has room again. The slices are
	// not kept. An error is fatal for the transport: HandleClosed does not
	// follow, the caller closes it. Meant to be called from HandleFlush.
	Write(bufs [][]byte) (int, error)
	// WantFlush asks for one HandleFlush at the end of the current round, or between two
	// sockets of it; while the socket is full the call is deferred until it has room. Cheap when
	// repeated.
	WantFlush()
	// PauseRead stops HandleRead after the current call, ResumeRead starts it
	// again. While paused, an error of the connection is still reported; the
	// peer's end of stream only after ResumeRead and all bytes before it.
	PauseRead()
	ResumeRead()
	// CloseWrite sends FIN after what was written; reading goes on.
	CloseWrite() error
	// Close closes the connection; bytes already taken by Write are still sent.
	// No callback follows. Closing twice is harmless.
	Close()
	// Abort closes with RST and throws away what was not sent. No callback follows.
	Abort()
	// Detach takes the connection away from this worker, for Adopt by another
	// one. The transport is then dead and no callback follows. Before HandleConnected the
	// error is syscall.ENOTCONN.
	Detach() (Socket, error)
}

// Handler is what a Transport calls, always on its worker and never two at a
// time. In every callback the handler may use all methods of the transport,
// Close included.
type Handler interface {
	// HandleConnected reports that a dialled connection is established.
	HandleConnected(t Transport)
	// ReadInto returns where the next bytes of the stream should land, or nil.
	// Large payloads are received in place this way. It is asked right before a
	// read. The stack does not keep the slice.
	ReadInto() []byte
	// HandleRead reports bytes: first direct bytes in the slice that ReadInto
	// returned, then, only if that slice is full, those in rest. rest is the
	// worker's scratch buffer, valid only during the call. Not both are empty.
	HandleRead(direct int, rest []byte)
	// HandleEOF reports that the peer sent FIN; no HandleRead follows, writing
	// still works. Called once.
	HandleEOF()
	// HandleFlush is the time to Write, see WantFlush.
	HandleFlush()
	// HandleClosed reports that the connection failed (or could not be
	// established). It is already closed; no other callback follows.
	HandleClosed(err error)
}
