package stream

import (
	"net"
	"sync"

	"github.com/asyncmsgr/asyncmsgr/async/callback"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// Conn is a stream: a net.Conn. All methods may be called by any goroutine, several at a
// time; concurrent Writes do not mix, concurrent Reads share what comes.
type Conn struct {
	s       *session
	key     streamKey
	service string
	prio    uint8

	wmu sync.Mutex // held during a Write

	mu sync.Mutex // guards the rest; that of the session may be taken with it held

	// How it stands.
	opened   bool  // the peer has taken it, or it is the peer's
	closed   error // by Close or CloseWithError: what calls answer
	finished bool  // by CloseWrite
	fail     error // why nothing goes on any more, in either direction
	gotFin   bool  // the peer sends no more data
	gotClose bool  // the peer sends nothing more, and takes nothing
	sentEnd  bool  // CLOSE was sent
	removed  bool  // from the table
	released bool  // the window was given back

	// What the peer is to be told, when there is room in the send queue.
	owed   owing
	code   uint32 // of the CLOSE
	reason string
	late   bool // the session flushes it later

	// Out.
	credit     int // bytes that may be sent
	sendWindow int // the most that may be
	sendSeq    uint16
	sending    bool   // a DATA is on its way into the send queue, outside of mu
	stopSend   func() // ends its waiting; nil: it does not wait
	writers    waiters

	// In.
	window   int // the peer may have that much unread
	grant    int // bytes that the peer may send
	toReturn int // bytes that were read, of which the peer is to be told
	recvSeq  uint16
	in       buffer
	readers  waiters
}

// owing is a set of messages, in the order in which they are sent.
type owing uint8

const (
	oweOpen owing = 1 << iota
	oweAccept
	oweWindow
	oweFin
	oweClose
)

var _ net.Conn = (*Conn)(nil)

func newConn(s *session, k streamKey, service string, prio uint8) *Conn {
	c := &Conn{s: s, key: k, service: service, prio: prio}
	c.readers.init(c)
	c.writers.init(c)
	return c
}

// Connection is the connection that carries the stream.
func (c *Conn) Connection() msg.Connection { return c.s.conn }

// Service is the name that was dialled.
func (c *Conn) Service() string { return c.service }

// LocalAddr is an Addr: that of the messenger.
func (c *Conn) LocalAddr() net.Addr {
	local, _ := c.s.conn.TransportAddrs()
	return &Addr{Name: c.s.x.m.Name(), Addrs: c.s.x.m.Addrs(), Service: c.service, Transport: local}
}

// RemoteAddr is an Addr: that of the peer.
func (c *Conn) RemoteAddr() net.Addr {
	_, remote := c.s.conn.TransportAddrs()
	return &Addr{Name: c.s.conn.PeerName(), Addrs: c.s.conn.PeerAddrs(), Service: c.service, Transport: remote}
}

// opError is what Read and Write return.
func (c *Conn) opError(op string, err error) error {
	return &net.OpError{Op: op, Net: "msgr", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
}

// mayBlock says whether the calling goroutine may wait.
func mayBlock() error {
	if callback.InsideQuick() == callback.Worker {
		return msg.ErrOnWorker
	}
	return nil
}

func (c *Conn) isReset() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.fail != nil
}
