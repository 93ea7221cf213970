// Package threadpipe is the baseline that async is compared with: a messenger
// with the threads of Ceph's SimpleMessenger over the same session and frame
// code. Each connection is a Pipe with a writer of its own, for as long as it
// lives, and a reader for each of its sockets; an accepter listens and one
// dispatch thread runs the dispatchers. A mutex per pipe guards its session. What
// is compared is the I/O model and nothing else.
//
// It comes in two flavours: goroutines on net.Conn, which is what a Go program
// would be, and true OS threads on blocking sockets, which is what
// SimpleMessenger was.
//
// # Locks
//
// Messenger.arbMu, then Pipe.mu (two of them only under arbMu), then the
// registry's and the dispatch queue's. User code runs without any of them.
//
// # What is missing
//
// Loopback, anonymous connections, Rebind and statistics. While a writer is inside a blocking write it looks at no deadline.
package threadpipe
