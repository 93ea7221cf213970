package stream

import (
	"fmt"
	"io"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// Read reads what has come, at least one byte, for which it waits. io.EOF says that the peer
// has closed (CloseWrite, Close) and all was read. Other errors, in a *net.OpError:
// os.ErrDeadlineExceeded; net.ErrClosed after Close; a *CloseError; ErrPeerReset;
// msg.ErrOnWorker.
func (c *Conn) Read(p []byte) (n int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		switch {
		case c.closed != nil:
			return 0, c.opError("read", c.closed)
		case c.fail != nil:
			return 0, c.opError("read", c.fail)
		}
		if err := c.readers.expired(); err != nil {
			return 0, c.opError("read", err)
		}
		switch {
		case len(p) == 0:
			return 0, nil
		case !c.in.empty():
			return c.takeLocked(p), nil
		case c.gotFin:
			return 0, io.EOF
		}
		if err := c.readers.wait(); err != nil {
			return 0, c.opError("read", err)
		}
	}
}

// takeLocked reads what is there, and lets the peer send that much more.
func (c *Conn) takeLocked(p []byte) int {
	n := c.in.read(p)
	c.toReturn += n
	if c.in.empty() {
		c.tidyLocked()
	} else {
		c.readers.wake() // another one
	}
	if c.toReturn >= (c.window+1)/2 && !c.gotFin && c.owed&oweWindow == 0 {
		c.owed |= oweWindow
		c.flushLocked()
	}
	return n
}

// handleData takes a DATA, on the worker.
func (c *Conn) handleData(m *msg.Message) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := len(m.Front)
	switch {
	case c.closed != nil || c.fail != nil || c.sentEnd:
		c.s.x.count.dropped.Add(uint64(n)) // it crossed our CLOSE
		m.Release()
		return
	case !c.opened:
		c.breachLocked(CodeProtocol, "DATA before ACCEPT")
	case n == 0 || len(m.Middle)+len(m.Data) > 0:
		c.breachLocked(CodeProtocol, fmt.Sprintf("DATA of %d, %d and %d bytes", n, len(m.Middle), len(m.Data)))
	case c.gotFin:
		c.breachLocked(CodeProtocol, "DATA after FIN")
	case n > c.grant:
		c.breachLocked(CodeProtocol, fmt.Sprintf("DATA of %d bytes, and %d may come", n, c.grant))
	case m.DataOff != c.recvSeq:
		c.breachLocked(CodeProtocol, fmt.Sprintf("DATA %d came in place of %d", m.DataOff, c.recvSeq))
	default:
		c.recvSeq++
		c.grant -= n
		count := &c.s.x.count
		count.messagesReceived.Add(1)
		count.bytesReceived.Add(uint64(n))
		if c.in.push(m) {
			count.coalesced.Add(1)
		}
		c.readers.wake()
		return
	}
	m.Release()
}
