// Package threadpipe is the baseline that async is compared with: a messenger
// with the threads of Ceph's SimpleMessenger over the same session and frame
// code. What is compared is the I/O model and nothing else.
//
// # SimpleMessenger's shape
//
// An accepter for each address. A Pipe for each peer, with a reader and a writer of
// its own that block in system calls and share the pipe's mutex. Send puts the
// message into the pipe's queue by priority and wakes the writer, which alone
// encodes and writes: the sender's thread never touches the socket. The reader
// connects, unless its socket was accepted (SimpleMessenger's writer did that, and
// could do nothing else meanwhile), decodes, fast dispatches on its own thread what
// wants that, and puts the rest into the one dispatch queue, which one dispatch thread
// empties. What the messenger sends to itself goes through a thread of local delivery. A
// dead pipe's threads end by themselves (SimpleMessenger had one more thread that
// reaped them).
//
// Threads makes all of these OS threads: locked goroutines that block in read,
// writev and futex, past Go's poller. Their stacks are real: two threads, each with
// a stack of the Go runtime's, a stack for signals and one in the kernel. Mutexes
// remain Go's. By default such a pipe treats every message by itself, as
// SimpleMessenger's did: the writer is woken for each, and writes each with a
// system call of its own; the reader asks for at most 4 KiB at a time, long
// payloads apart, which it reads into their place.
//
// # What is allowed beyond it
//
// With goroutines, and with threads by Config.Batch: reads of 64 KiB, into buffers
// that only busy connections have, one writev for all that is queued, and one wake of
// the writer for all that the dispatchers of one read have sent. This is the best that
// a reader and a writer for each connection can do; contestant threadpipe-goroutines is
// that, threadpipe-threads is SimpleMessenger without Batch.
//
// In all flavours: acknowledgements travel in the headers of messages (msgr v2.1),
// dispatch throttles are taken for several messages at a time, messages and
// buffers come from pools, deadlines cost no system call (SimpleMessenger called
// poll before each read), and the writer keeps the session's time instead of a
// timer thread.
//
// # The contract
//
// Connections and callbacks are those of package msg, as with async; both pass
// async/asynctest/sessiontest. "On the worker" means on the pipe's reader or writer,
// which a callback must not hold up. A callback that ends its goroutine takes no thread
// along: another one takes its place. HandleFastFault may come after HandleFastConnect of the
// next transport, from another thread. What there is not: IPv6 zones by name, advertised
// addresses, policies of single connections, Flush, Drain and Connections of the messenger. Throttlers of policies and
// the Logger's handler are called under a pipe's mutex: they have to return, and must
// not use the pipe.
//
// # Locks
//
// Messenger.bindMu, then Messenger.mu; Messenger.arbMu, then Pipe.mu (two of them
// only under arbMu), then Messenger.mu, the registry's and the dispatch queue's.
// Callbacks run without any of them.
package threadpipe
