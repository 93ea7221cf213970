package asynctest

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/asyncmsgr/asyncmsgr/connection/frame"
)

func checkR1(d *digest) (bad []string) {
	for i := range d.h.Records {
		if r := &d.h.Records[i]; r.Limit > 0 && r.Held > r.Limit+int64(r.Size)+largestCredit {
			bad = append(bad, fmt.Sprintf("%v: the dispatch throttle holds %d of %d", r, r.Held, r.Limit))
		}
	}
	for _, e := range d.h.Ends {
		if e.DispatchBytes != 0 || e.Queue != 0 || e.PolicyHeld != 0 {
			bad = append(bad, fmt.Sprintf(
				"node %d.%d holds %d bytes of dispatch, %d in the queue, %d of policy throttles",
				e.Node, e.Life, e.DispatchBytes, e.Queue, e.PolicyHeld))
		}
		if e.Panics > d.h.Panics {
			bad = append(bad, fmt.Sprintf("node %d.%d: %d panics, %d planned", e.Node, e.Life, e.Panics, d.h.Panics))
		}
	}
	return bad
}

// largestCredit is by how much one message, which is let in alone however large it
// is, may exceed a throttle. (The largest of a run may be another one than that at
// whose delivery the throttle is looked at.)
const largestCredit = 128 << 10

func checkR2(d *digest) (bad []string) {
	bad = append(bad, d.h.Left...)
	// Who calls in vain at the end may do so at both ends of a handshake.
	calling := slices.ContainsFunc(d.h.Ends, func(e NodeEnd) bool { return len(e.Calling) > 0 })
	for _, e := range d.h.Ends {
		if e.Handshakes != 0 && !calling {
			bad = append(bad, fmt.Sprintf("node %d.%d: %d handshakes are not over", e.Node, e.Life, e.Handshakes))
		}
	}
	return bad
}

func checkV1(d *digest) (bad []string) {
	h := d.h
	if h.Quiet == 0 || h.Healed == 0 || !h.Lossless {
		return nil
	}
	var waiting int // sent, not arrived, and bound to
	last := h.Healed
	for i := range h.Records {
		r := &h.Records[i]
		if r.Num == 0 || h.IsTainted(r.Flow.From, r.Flow.To) {
			continue
		}
		switch r.Kind {
		case RecSent:
			if waiting == 0 {
				last = max(last, r.At)
			}
			waiting++
		case RecDelivered:
			waiting--
			if r.At-last > h.Quiet {
				bad = append(bad, fmt.Sprintf("%v: nothing arrived for %v before, with %d waiting; "+
					"the network was healed at %v", r, r.At-last, waiting+1, h.Healed))
			}
			last = max(last, r.At)
		}
	}
	if waiting > 0 {
		bad = append(bad, fmt.Sprintf("%d messages never arrived", waiting))
	}
	return bad
}

func checkV2(d *digest) (bad []string) {
	bad = checkAttempts(d)
	if d.h.Attempts == 0 {
		return bad
	}
	for pair, n := range d.h.Dials {
		if n > d.h.Attempts {
			bad = append(bad, fmt.Sprintf("node %d dialled node %d %d times after the network was healed",
				pair[0], pair[1], n))
		}
	}
	return bad
}

// checkAttempts: each attempt to resume a session has a higher number than the one
// before, and of two that cross the one from the smaller address survives.
func checkAttempts(d *digest) (bad []string) {
	type key struct {
		from, to       int
		client, server uint64
	}
	attempts := map[key][]*WireRecord{}
	var keys []key
	told := map[uint64]*WireRecord{} // the last SESSION_RETRY
	for i := range d.h.Wire {
		w := &d.h.Wire[i]
		switch w.Tag {
		case frame.TagSessionReconnect:
			k := key{w.From, w.To, w.Cookie, w.ServerCookie}
			if attempts[k] == nil {
				keys = append(keys, k)
			}
			attempts[k] = append(attempts[k], w)
			if r := told[w.Stream]; r != nil && r.At < w.At && w.ConnectSeq <= r.ConnectSeq {
				bad = append(bad, fmt.Sprintf("stream %d, node %d to %d at %v: connect_seq %d, "+
					"though it had to be more than %d", w.Stream, w.From, w.To, w.At, w.ConnectSeq, r.ConnectSeq))
			}
		case frame.TagSessionRetry:
			told[w.Stream] = w
		case frame.TagWait:
			if w.From > w.To {
				bad = append(bad, fmt.Sprintf("stream %d at %v: node %d has %d wait, whose address is smaller",
					w.Stream, w.At, w.From, w.To))
			}
		}
	}
	for _, k := range keys {
		bad = append(bad, checkNumbers(attempts[k])...)
	}
	return append(bad, checkResumed(d)...)
}

// checkResumed: who lets a peer go on with a session knows the number of that attempt,
// so that those he makes himself from then on have higher ones.
func checkResumed(d *digest) (bad []string) {
	type session struct {
		by             int
		client, server uint64
	}
	type resumption struct {
		connectSeq uint64
		at         time.Duration
	}
	resumed := map[session]resumption{}
	asked := map[uint64]*WireRecord{} // the last SESSION_RECONNECT of a stream
	for i := range d.h.Wire {
		w := &d.h.Wire[i]
		switch w.Tag {
		case frame.TagSessionReconnect:
			asked[w.Stream] = w
			r, ok := resumed[session{w.From, w.Cookie, w.ServerCookie}]
			if ok && d.dialledAt(w.Stream) > r.at && w.ConnectSeq <= r.connectSeq {
				bad = append(bad, fmt.Sprintf(
					"stream %d, node %d to %d at %v: connect_seq %d, though %d was resumed at %v",
					w.Stream, w.From, w.To, w.At, w.ConnectSeq, r.connectSeq, r.at))
			}
		case frame.TagSessionReconnectOK:
			if q := asked[w.Stream]; q != nil {
				resumed[session{w.From, q.Cookie, q.ServerCookie}] = resumption{q.ConnectSeq, w.At}
			}
		}
	}
	return bad
}

// dialledAt is when a stream was dialled, 0 if that is not known.
func (d *digest) dialledAt(stream uint64) time.Duration {
	if stream == 0 || stream > uint64(len(d.h.Streams)) {
		return 0
	}
	return d.h.Streams[stream-1].At
}

// checkNumbers judges the attempts to resume one session. A stream that was held up
// shows what it carries after a later one: global_seq tells the order.
func checkNumbers(attempts []*WireRecord) (bad []string) {
	slices.SortStableFunc(attempts, func(a, b *WireRecord) int { return cmp.Compare(a.GlobalSeq, b.GlobalSeq) })
	for i, w := range attempts[1:] {
		// SESSION_RETRY_GLOBAL makes the same attempt have another global_seq only.
		last := attempts[i]
		if w.ConnectSeq < last.ConnectSeq ||
			w.ConnectSeq == last.ConnectSeq && (w.Stream != last.Stream || w.GlobalSeq == last.GlobalSeq) {
			bad = append(bad, fmt.Sprintf("stream %d, node %d to %d at %v: connect_seq %d after %d",
				w.Stream, w.From, w.To, w.At, w.ConnectSeq, last.ConnectSeq))
		}
	}
	return bad
}

func checkV3(d *digest) (bad []string) {
	if d.h.Delay == 0 {
		return nil
	}
	stuck := map[connKey]bool{}
	sent := map[Flow]map[uint64]time.Duration{}
	for i := range d.h.Records {
		r := &d.h.Records[i]
		k := connKey{lifeKey{r.Node, r.Life}, r.Conn}
		switch r.Kind {
		case RecStuck:
			stuck[k] = true
		case RecSent:
			if sent[r.Flow] == nil {
				sent[r.Flow] = map[uint64]time.Duration{}
			}
			sent[r.Flow][r.Num] = r.At
		case RecDelivered:
			if took := r.At - sent[r.Flow][r.Num]; took > d.h.Delay && !stuck[k] {
				bad = append(bad, fmt.Sprintf("%v took %v, at most %v", r, took, d.h.Delay))
			}
		}
	}
	return bad
}
