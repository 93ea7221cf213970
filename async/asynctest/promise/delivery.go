package promise

import "slices"

// Delivery judges a flow: the messages of one priority that a sender gives to one
// of its connections, numbered from 1. L2, B1 and a second end are found when they
// happen; the other methods judge a network at rest.
type Delivery struct {
	// Sent are accepted, Arrived counts arrivals, of which Repeated are of what had
	// arrived before, Ended the ends that the sender was told of, of which Failed
	// with an error, the last of them Failure.
	Sent, Arrived, Repeated, Ended, Failed uint64
	Failure                                error

	arrived numbers // ever
	session numbers // since Forget
	ended   numbers
	twice   uint64 // the last number that arrived again
	again   uint64 // in the same session
	to      Receiver
	last    uint64 // that arrived there
	excused uint64 // up to here a loss was told
}

// Receiver is where a message arrives: in which life of a messenger, and by which
// of its connections.
type Receiver struct {
	Life uint32
	Conn uint64
}

// Send enters a message and returns its number.
func (d *Delivery) Send() uint64 {
	d.Sent++
	return d.Sent
}

// Unsend takes back the last one, which was not accepted.
func (d *Delivery) Unsend() { d.Sent-- }

// End enters that the sender was told how the sending of a message ended.
func (d *Delivery) End(num uint64, err error) []Breach {
	if !d.ended.add(num) {
		return []Breach{breach("C4", "number %d has ended twice, now with %v", num, err)}
	}
	d.Ended++
	if err != nil {
		d.Failed++
		d.Failure = err
	}
	return nil
}

// Arrive enters that a message was dispatched.
func (d *Delivery) Arrive(num uint64, at Receiver) (broken []Breach) {
	if num == 0 || num > d.Sent {
		return []Breach{breach("B1", "number %d of %d that were sent", num, d.Sent)}
	}
	if at.Life != d.to.Life { // another process
		d.Forget()
	}
	if at == d.to && num <= d.last {
		broken = []Breach{breach("L2", "number %d arrived after number %d", num, d.last)}
	}
	d.to, d.last = at, num
	d.Arrived++
	if !d.arrived.add(num) {
		d.Repeated++
		d.twice = num
	}
	if !d.session.add(num) {
		d.again = num
	}
	return broken
}

// Forget enters that the receiver was told of the loss of its session, where the
// next one may bring the same again.
func (d *Delivery) Forget() { d.session, d.last = numbers{}, 0 }

// Excuse enters that one of the ends was told of a loss, or is gone.
func (d *Delivery) Excuse() { d.excused = d.Sent }

// Missing is how many messages never arrived.
func (d *Delivery) Missing() uint64 { return d.Sent - (d.Arrived - d.Repeated) }

// Holes is how many of them are before one that did.
func (d *Delivery) Holes() uint64 { return d.arrived.below() }

// ExactlyOnce judges L1.
func (d *Delivery) ExactlyOnce() (broken []Breach) {
	if n := d.Missing(); n > 0 || d.Failed > 0 || d.Ended != d.Sent {
		broken = append(broken, breach("L1",
			"%d sent, %d arrived, %d are missing, %d have ended, %d of them with a failure (%v)",
			d.Sent, d.Arrived, n, d.Ended, d.Failed, d.Failure))
	}
	if d.twice > 0 {
		broken = append(broken, breach("L1", "number %d arrived again", d.twice))
	}
	return broken
}

// OnceASession judges what is left of L1 where a session may be lost for one end alone.
func (d *Delivery) OnceASession() []Breach {
	if d.again > 0 {
		return []Breach{breach("L1", "number %d arrived again in one session", d.again)}
	}
	return nil
}

// Prefix judges Y1.
func (d *Delivery) Prefix() []Breach {
	switch n := d.Holes(); {
	case n > 0:
		return []Breach{breach("Y1", "number %d arrived, and %d before it did not", d.arrived.top, n)}
	case d.twice > 0:
		return []Breach{breach("Y1", "number %d arrived again", d.twice)}
	}
	return nil
}

// Lost lists what C4 forbids: messages that never arrived, and nobody was told.
func (d *Delivery) Lost() (nums []uint64) {
	for _, h := range append(slices.Clone(d.arrived.holes), span{d.arrived.top + 1, d.Sent}) {
		for num := max(h.from, d.excused+1); num <= h.to; num++ {
			nums = append(nums, num)
		}
	}
	return nums
}

// Unended judges the rest of C4, for a sender that lives.
func (d *Delivery) Unended() []Breach {
	if d.Ended != d.Sent {
		return []Breach{breach("C4", "%d sent, %d have ended", d.Sent, d.Ended)}
	}
	return nil
}

// numbers is a set of numbers that mostly comes in order.
type numbers struct {
	top   uint64
	holes []span // what is missing below, in order
}

type span struct{ from, to uint64 }

// add says whether n is new.
func (s *numbers) add(n uint64) bool {
	if n > s.top {
		if n > s.top+1 {
			s.holes = append(s.holes, span{s.top + 1, n - 1})
		}
		s.top = n
		return true
	}
	for i, h := range s.holes {
		if n < h.from || n > h.to {
			continue
		}
		var rest []span
		if n > h.from {
			rest = append(rest, span{h.from, n - 1})
		}
		if n < h.to {
			rest = append(rest, span{n + 1, h.to})
		}
		s.holes = slices.Replace(s.holes, i, i+1, rest...)
		return true
	}
	return false
}

// below is how many are missing below the largest.
func (s *numbers) below() (n uint64) {
	for _, h := range s.holes {
		n += h.to - h.from + 1
	}
	return n
}
