// Package stream carries byte streams over the connections of a messenger: net.Conn and
// net.Listener, many at a time over one session, as yamux does over one TCP connection. Unlike
// there, a stream outlives the TCP connections below it, each has a priority, and the
// messenger's own messages go on beside them.
//
//	x, err := stream.New(messenger, stream.Options{}) // before messenger.Start; at both ends
//	l, err := x.Listen("files")                       // any number of services
//	c, err := x.Dial(ctx, conn, "files", stream.WithPriority(msg.PriorityLow))
//
// # What is promised
//
// What is written to a stream is read at the other end, each byte once and in order, as long as
// the session lasts. Over a lossless session (msg.LosslessPeer and the like) a cut TCP
// connection is not noticed: the messenger comes back and sends again what was not
// acknowledged, and calls wait meanwhile, until their deadlines. When the session is over
// (the peer has restarted, or marked the connection down; a lossy session broke), all its
// streams fail at once with ErrPeerReset, and those of the next session have nothing to do with
// them. After a MarkDown or Shutdown on this side they fail with net.ErrClosed.
//
// With a policy without ResetCheck (msg.LosslessPeer), a peer that restarts under the same
// address, nonce included, may go unnoticed: its streams then fail with ErrUnknownStream, as
// soon as anything is sent. Prefer msg.LosslessPeerReuse where addresses are fixed.
//
// Write returns when its bytes are in the connection's send queue. That does not mean that the
// peer has them, and less that its application has: answer where that counts.
//
// # Closing
//
// CloseWrite ends one direction: the peer reads what was written and then io.EOF. Close ends
// both; what was written is still sent, what was not read is dropped, and what the peer
// writes from then on fails there with a *CloseError whose Code is CodeClosed. CloseWithError
// ends both at once, for a reason: what the peer has not read is dropped too, and its calls
// fail with a *CloseError that has code and text. Each Conn has to be closed, also one that has
// failed: until then it keeps what was promised to its peer (see below).
//
// Dial returns when the peer's Mux has taken the stream, in one round trip; it need not have
// been accepted yet. A peer that does not take it says why: ErrNoService, ErrBacklogFull,
// ErrTooManyStreams, ErrNoMemory.
//
// # What it costs, and its bounds
//
// No goroutine belongs to a stream. Received messages are put into the stream's buffer on the
// connection's worker (fast dispatch), which never waits: a stream that nobody reads holds
// up itself alone, as its peer may send Options.Window bytes ahead, 256 KiB unless
// set. Because each stream reserves its window when it is opened, what is received and not
// read never exceeds Options.ConnBufferMax for a connection (256 MiB) and BufferMax for
// all (1 GiB); when half of that is promised, streams get WindowMin (16 KiB) instead, and at the bound
// they are refused. Streams per connection (StreamsMax, 4096) and streams that wait for Accept
// (Backlog, 128 for each service) are bounded too.
//
// A received message is the buffer; it is copied once, into the reader's slice. Small ones
// (up to 2 KiB) that find others unread are copied together first, so that a window of
// small messages holds at most about twice its bytes. Write copies once, and allocates nothing.
// Each Write is at least one message with some 100 bytes of overhead: put a
// bufio.Writer before it when writing bytes one by one.
//
// Writes wait for the peer's window, and for room in the connection's send queue
// (async.Config.SendQueueMessages and SendQueueBytes), never with msg.ErrQueueFull. On a long
// line a stream carries at most a Window for each round trip: set it to the bandwidth times the
// round trip time where that is more than 256 KiB.
//
// # Priorities
//
// All messages of a stream, in both directions, have the priority that Dial was given. A Write
// is cut into pieces of Options.PieceMax (64 KiB), between which messages of higher
// priority get past, of other streams and others; streams of one priority take turns by
// the order of their Writes.
//
// # Callbacks
//
// Methods that wait (Read, Write, Dial, Accept) may be called by a dispatcher's Dispatch, which
// is then held up as by anything else. What runs on a worker (fast dispatch, Notify, ...) must
// not wait: there they do what can be done at once, and answer msg.ErrOnWorker for the rest. The other
// methods never wait.
//
// # Time
//
// Deadlines are times of day of the messenger's clock (async.Config.Clock, Stack.Clock): with
// time.Now().Add(d) on the real network; on a simulated one take Messenger.Clock().Wall().Add(d), and they
// pass in virtual time, exactly. Like all timers of a stack they are not early, and late by
// as much as their worker is held up. The simulator itself knows nothing of goroutines that
// wait in Read: a test that is to be the same each time has callbacks or its own
// goroutine do what can be done without waiting (async/callback.OnWorker), as the tests of
// this package do.
//
// # What a peer can do
//
// A peer that breaks the protocol (data beyond its credit or after its end, headers that make
// no sense, a stream opened twice, ...) has that stream closed with CodeProtocol and a reason, at both
// ends, and counted (Stats.Protocol). Messages of streams that do not exist are answered by
// a CLOSE and counted (Stats.Unknown). A stream that this end has closed keeps its place in
// the table, and nothing else, until the peer has confirmed that; a peer that never does
// runs into StreamsMax.
//
// The wire is drawn in wire.go and described in docs/STREAM.md. The message types are
// msg.TypeStreamFirst to TypeStreamLast; a messenger has at most one Mux.
//
// # Limitations
//
// A Mux stays with its messenger: Close ends its streams and listeners, but it is not
// removed from the chain of dispatchers. Windows do not grow by themselves. Close does not
// wait for the peer (no SO_LINGER): use Messenger.Drain before the end of a process, so that what was
// written goes out.
package stream
