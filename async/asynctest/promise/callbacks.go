package promise

import (
	"errors"
	"math"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// Callbacks judges what happens to one Connection, and what its user is told, in the
// order in which that happens. Times are those of the messenger's own clock.
type Callbacks struct {
	told, ready int
	up          bool            // told of a session, and of no fault since
	flaps       bool            // faults may have been too many to tell
	waiting     []time.Duration // when sessions became ready that were not told yet
	begins      time.Duration   // the session after the last remote reset
	resets      int
	remote      int    // remote resets
	fast        int    // resets that were told on the worker
	fastRemote  int    // and remote resets
	broken      int    // sendings that ended with ErrReset
	over        string // what has ended it
	marked      bool
}

// never is the beginning of a session that is not there yet.
const never = time.Duration(math.MaxInt64)

const byMarkDown = "a mark down"

// Ready enters that a session became ready (HandleFastConnect, HandleFastAccept).
func (c *Callbacks) Ready(at time.Duration) {
	c.ready++
	c.waiting = append(c.waiting, at)
	c.flaps = c.flaps || len(c.waiting) >= faultsTold
	if c.begins == never {
		c.begins = at
	}
}

// Told enters HandleConnect or HandleAccept.
func (c *Callbacks) Told() []Breach {
	c.told++
	broken := c.late()
	if len(c.waiting) == 0 {
		return append(broken, breach("C1", "told without a session that became ready"))
	}
	c.waiting = c.waiting[1:]
	if c.up && !c.flaps {
		broken = append(broken, breach("C1", "told of another transport, and not that the one before was lost"))
	}
	c.up = true
	return broken
}

// faultsTold is less than how many faults of a connection wait at least until they are too many
// to tell.
const faultsTold = 10

// Fault enters HandleFault.
func (c *Callbacks) Fault() []Breach {
	broken := c.late()
	if !c.up {
		broken = append(broken, breach("C1", "told of the loss of a transport that there was not"))
	}
	c.up = false
	return broken
}

// Deliver enters that a message was dispatched, which had come in at receivedAt. The
// connection of a messenger with itself is ready without a word.
func (c *Callbacks) Deliver(own bool, receivedAt time.Duration) []Breach {
	broken := c.late()
	if own {
		return broken
	}
	if c.told == 0 {
		broken = append(broken, breach("C1", "before the user was told of the connection"))
	}
	if receivedAt < c.begins {
		broken = append(broken, breach("C3", "of a session that was lost"))
	}
	return broken
}

// FastReset enters HandleFastReset.
func (c *Callbacks) FastReset() (broken []Breach) {
	if c.fast++; c.fast > 1 {
		broken = append(broken, breach("C2", "%d resets told on the worker", c.fast))
	}
	return broken
}

// FastRemoteReset enters HandleFastRemoteReset.
func (c *Callbacks) FastRemoteReset() (broken []Breach) {
	c.fastRemote++
	if c.fast > 0 {
		broken = append(broken, breach("C3", "told on the worker, after a reset"))
	}
	return broken
}

// RemoteReset enters HandleRemoteReset. Events are told in their order: the session
// that follows is the first that was not told yet.
func (c *Callbacks) RemoteReset() []Breach {
	c.begins = never
	if len(c.waiting) > 0 {
		c.begins = c.waiting[0]
	}
	broken := c.late()
	if c.remote++; c.remote > c.fastRemote {
		broken = append(broken, breach("C2", "a remote reset that was not told on the worker before"))
	}
	return broken
}

// Reset enters HandleReset.
func (c *Callbacks) Reset() (broken []Breach) {
	if c.resets++; c.resets > 1 {
		broken = append(broken, breach("C2", "%d resets", c.resets))
	}
	if c.resets > c.fast {
		broken = append(broken, breach("C2", "a reset that was not told on the worker before"))
	}
	if c.over == byMarkDown {
		broken = append(broken, breach("C2", "a reset after a mark down"))
	}
	if c.over == "" {
		c.over = "a reset"
	}
	return broken
}

// MarkDown enters that the user has closed the connection.
func (c *Callbacks) MarkDown() {
	c.marked = true
	if c.over == "" {
		c.over = byMarkDown
	}
}

// Ended enters that a sending ended.
func (c *Callbacks) Ended(err error) {
	if errors.Is(err, msg.ErrReset) {
		c.broken++
	}
}

// Settle judges the rest of C1 and C2 at rest, if the messenger lives or was shut down.
func (c *Callbacks) Settle() (broken []Breach) {
	if c.marked {
		return nil
	}
	if c.fast != c.resets || c.fastRemote != c.remote {
		broken = append(broken, breach("C2", "%d resets and %d remote resets told on the worker, %d and %d by the pool",
			c.fast, c.fastRemote, c.resets, c.remote))
	}
	if len(c.waiting) > 0 {
		broken = append(broken, breach("C1", "ready %d times, told %d times", c.ready, c.told))
	}
	if c.broken > 0 && c.resets == 0 {
		broken = append(broken, breach("C2", "%d messages lost by a reset that was not told", c.broken))
	}
	return broken
}

func (c *Callbacks) late() []Breach {
	if c.over != "" {
		return []Breach{breach("C3", "after %s", c.over)}
	}
	return nil
}
