package connection

import (
	"sync/atomic"

	"github.com/asyncmsgr/asyncmsgr/connection/session"
)

// faultsMax is how many faults of a connection may wait for the user to be told of them.
const faultsMax = 16

// Faults bounds what a connection that breaks again and again tells a user who is slow to
// listen. Beyond faultsMax a fault is owed: when the user takes one of those that wait, he is told
// of the last, if the connection is still down. What was up and down in between, he is told to have
// come up alone.
type Faults struct {
	// How many wait, and faultOwed. One word: each idle connection has it.
	word atomic.Uint32
}

// faultOwed says that the user was not told of the last one.
const faultOwed = 1 << 31

// Admit says whether the user is to be told of a fault now; otherwise it is owed. The
// connection's owner only.
func (f *Faults) Admit() bool {
	for {
		was := f.word.Load()
		waiting := was &^ faultOwed
		now := waiting + 1
		if waiting >= faultsMax {
			now = was | faultOwed
		}
		if f.word.CompareAndSwap(was, now) {
			return waiting < faultsMax
		}
	}
}

// Taken says that the user is being told of one, and whether another is Owed. Any goroutine.
func (f *Faults) Taken() (owed bool) { return f.word.Add(^uint32(0))&faultOwed != 0 }

// Owed says whether there is a fault of which the user was not told. It is up to the caller then,
// who is the connection's owner, to tell him.
func (f *Faults) Owed() bool { return f.word.Load()&faultOwed != 0 }

// FaultTaken is called by the dispatch queue when a HandleFault of this connection begins. Any
// goroutine.
func (c *Conn) FaultTaken() {
	if c.faults.Taken() {
		c.command(cmdFaultOwed)
	}
}

// broken tells the user that the session has lost its transport, and goes on.
func (c *Conn) broken(err error) {
	if c.IsClosed() {
		return
	}
	if c.faults.Admit() {
		c.sh.Sink.Event(c, EventFault, err)
	}
	c.sh.Sink.Event(c, EventFastFault, err) // last: it may end the goroutine
}

// tellOwed tells the user of the last fault, if he was not told of it and the connection is
// down.
func (c *Conn) tellOwed() {
	if c.faults.Owed() && c.s.State() != session.StateReady && !c.IsClosed() && c.faults.Admit() {
		c.sh.Sink.Event(c, EventFault, c.LastError())
		c.sh.Sink.EndOfBatch(c)
	}
}
