package mon

import (
	"slices"
	"time"
)

// asks are the questions that wait for an answer, in the order in which they came. It is a
// state machine without I/O.
//
// An answer that is over a limit of this side's messenger breaks the session, and would break
// the next one too. Which question it answers is not known. So those that were out are asked
// again one at a time, and the one that breaks the session alone is the one.
//
// A session that is lost loses the answers too. If all questions went out again at once, over a network
// that breaks often none would be answered before the next break. So after a loss askedAgain
// of them go out, and two more for each answer.
type asks struct {
	list []*ask
	most int // how many may be out; 0: no session was lost, all may
}

// askedAgain is how many questions go out at first after a session was lost.
const askedAgain = 4

// ask is one question.
type ask struct {
	id      uint64
	out     bool          // it was sent on the session that there is
	since   time.Duration // when
	strikes int           // sessions that broke by a limit while it was out
}

// strikesMax is how many sessions an answer may break by a limit: the second time its question
// was out alone.
const strikesMax = 2

func (a *asks) add(id uint64) { a.list = append(a.list, &ask{id: id}) }

// due returns the questions that are to be sent now. Those that were sent are then marked by
// sent.
func (a *asks) due() []*ask {
	if i := slices.IndexFunc(a.list, func(x *ask) bool { return x.strikes > 0 }); i >= 0 {
		if slices.ContainsFunc(a.list, func(x *ask) bool { return x.out }) {
			return nil
		}
		return a.list[i : i+1]
	}
	var due []*ask
	room := len(a.list)
	if a.most > 0 {
		room = a.most - a.out()
	}
	for _, x := range a.list {
		if !x.out && len(due) < room {
			due = append(due, x)
		}
	}
	return due
}

// out is how many questions are out.
func (a *asks) out() (n int) {
	for _, x := range a.list {
		if x.out {
			n++
		}
	}
	return n
}

// answered notes that a question that was out has its answer: the network carries.
func (a *asks) answered() {
	if a.most > 0 {
		a.most++
	}
}

func (x *ask) sent(now time.Duration) { x.out, x.since = true, now }

// end takes a question out: it was answered, or nobody waits for it any more. It says whether
// it was there.
func (a *asks) end(id uint64) bool {
	n := len(a.list)
	a.list = slices.DeleteFunc(a.list, func(x *ask) bool { return x.id == id })
	return len(a.list) < n
}

// lost notes that the session is over; limit says that it broke by a limit of this side. It
// returns the questions to which no answer will be, and takes them out.
func (a *asks) lost(limit bool) (hopeless []uint64) {
	a.most = askedAgain
	a.list = slices.DeleteFunc(a.list, func(x *ask) bool {
		if !x.out {
			return false
		}
		x.out = false
		if limit {
			x.strikes++
		}
		if x.strikes < strikesMax {
			return false
		}
		hopeless = append(hopeless, x.id)
		return true
	})
	return hopeless
}

// oldest is since when a question has been out; 0: none is.
func (a *asks) oldest() (since time.Duration) {
	for _, x := range a.list {
		if x.out && (since == 0 || x.since < since) {
			since = x.since
		}
	}
	return since
}
