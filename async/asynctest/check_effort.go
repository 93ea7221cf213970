package asynctest

import (
	"fmt"
	"slices"
	"time"

	"github.com/asyncmsgr/asyncmsgr/connection/frame"
)

// What trouble may cost (Promises.Effort). A cause is a connection that was harmed
// (StreamRecord.Harmed), a pair of nodes that are connected at all, an attempt to connect
// that follows from what was done to a messenger (History.Disturbed), a fault that
// tells of a silent or unfit peer, or a connection whose keys were used up. By the protocol
// a harmed connection leads to two attempts, one of either side, of which the race leaves
// one, and to a fault for each end of all three.
//
// The bounds were found by running the swarm's seeds 1 to 20000 and looking at what came
// nearest to each, which is given beside it: 58 % of a bound at most. TestSwarm logs the
// same of each campaign (CampaignResult.Costs). Without causes all costs are 0.
const (
	dialsPerCause  = 2 // of connections that were not harmed: 2 of 2 causes
	faultsPerCause = 6 // 28 of 8
	resetsPerCause = 4 // 14 of 8
	// remoteResetsPerForce counts only what was done to messengers, because harm to
	// connections costs no session (unless the policies do not fit): 1 of 2.
	remoteResetsPerForce = 2
	// SESSION_RETRY is rare: one for four causes, and some more: 2 of 12.
	retriesFree      = 2
	causesPerRetry   = 4
	replaysOfCause   = 2 // times all that was ever sent: 560 of 203 and 8 causes
	retryGlobalsFree = 0 // numbers of attempts rise; see unreachable
	rejectedFree     = 0 // each peer takes what it is sent
)

func checkE1(d *digest) (bad []string) {
	bad = append(bad, checkHonesty(d)...)
	bad = append(bad, checkRepetition(d)...)
	bad = append(bad, checkBackoff(d)...)
	if d.h.Effort {
		bad = append(bad, checkCosts(d)...)
	}
	return bad
}

// checkHonesty: nobody finds a peer in breach of the protocol, unless what that sent
// was altered on its way.
func checkHonesty(d *digest) (bad []string) {
	accused := map[int]int{}
	for _, e := range d.h.ProtocolErrors {
		if accused[e.Node]++; accused[e.Node] > d.h.Flips[e.Node] {
			bad = append(bad, fmt.Sprintf("node %d at %v, to which %d packets were altered: %v",
				e.Node, e.At, d.h.Flips[e.Node], e.Err))
		}
	}
	return bad
}

// checkRepetition: on one TCP connection no message is written twice, and who is told
// SESSION_RETRY is told again only if the other side has made attempts meanwhile.
func checkRepetition(d *digest) (bad []string) {
	for _, f := range d.flows {
		for i := range f.msgs {
			ws := f.msgs[i].wires
			for k := 1; k < len(ws); k++ {
				if ws[k].s == ws[k-1].s && ws[k].side == ws[k-1].side {
					bad = append(bad, fmt.Sprintf("%v: number %d was written twice on stream %d",
						f.Flow, i+1, ws[k].s.id))
				}
			}
		}
	}
	for _, s := range d.wires {
		told := 0
		for _, w := range s.sides[1] {
			if w.Tag != frame.TagSessionRetry {
				continue
			}
			if told++; told > 1+d.dialsBack(s, w) {
				bad = append(bad, fmt.Sprintf("stream %d at %v: node %d was told %d times to try again",
					s.id, w.At, w.To, told))
			}
		}
	}
	return bad
}

// dialsBack is how often the accepting side of s has dialled the other one while s
// existed, until w.
func (d *digest) dialsBack(s *streamDigest, w *WireRecord) (n int) {
	for i := s.id; i < uint64(len(d.h.Streams)); i++ {
		if x := &d.h.Streams[i]; x.From == s.to && x.To == s.from && x.At <= w.At {
			n++
		}
	}
	return n
}

// checkBackoff: attempts to reach a peer that lead to nothing come in ever longer
// intervals. The first repetition may come at once, because an attempt that is given up
// in favour of the peer's, which fails then, is no failed one; from there on the delay
// doubles, and jitter makes it half as long at the least.
func checkBackoff(d *digest) (bad []string) {
	if d.h.Backoff == 0 {
		return nil
	}
	over := map[[2]int][]time.Duration{} // when a row of attempts ended: it led to something
	for _, c := range d.conns {
		for _, r := range c.records {
			switch r.Kind {
			case RecReady, RecReset, RecRemoteReset, RecMarkDown:
				over[[2]int{c.node, c.peer}] = append(over[[2]int{c.node, c.peer}], r.At)
			}
		}
	}
	for i := range d.h.Records {
		if r := &d.h.Records[i]; r.Kind == RecUp {
			over[[2]int{r.Node, -1}] = append(over[[2]int{r.Node, -1}], r.At)
		}
	}
	for _, at := range over {
		slices.Sort(at)
	}
	type row struct {
		n    int
		last time.Duration
	}
	rows := map[[2]int]row{}
	for i, s := range d.h.Streams {
		pair := [2]int{s.From, s.To}
		r := rows[pair]
		if r.n > 0 && (between(over[pair], r.last, s.At) || between(over[[2]int{s.From, -1}], r.last, s.At)) {
			r.n = 0
		}
		if least := min(d.h.Backoff<<max(r.n-2, 0), d.h.MaxBackoff) / 2; r.n >= 2 && s.At-r.last < least {
			bad = append(bad, fmt.Sprintf(
				"stream %d, node %d to %d at %v: attempt %d came %v after the one before, not %v",
				i+1, s.From, s.To, s.At, r.n+1, s.At-r.last, least))
		}
		rows[pair] = row{min(r.n+1, 32), s.At}
	}
	return bad
}

// between says whether one of the sorted times is in [from, to].
func between(at []time.Duration, from, to time.Duration) bool {
	i, _ := slices.BinarySearch(at, from)
	return i < len(at) && at[i] <= to
}

// checkCosts judges what all of it has cost.
func checkCosts(d *digest) (bad []string) {
	var e Effort
	for i := range d.h.Ends {
		e.add(&d.h.Ends[i].Effort)
	}
	pairs := map[[2]int]bool{}
	var harmed, unlike, calm uint64
	for _, s := range d.h.Streams {
		pairs[[2]int{s.From, s.To}] = true
		if s.Harmed {
			if harmed++; d.unlike(s.From, s.To) {
				unlike++
			}
		} else {
			calm++
		}
	}
	forced := uint64(d.h.Disturbed)
	causes := harmed + uint64(len(pairs)) + forced + e.Timeouts + e.Refusals + e.Rekeys
	d.h.costs = []Cost{
		{"connections that nobody harmed", calm, dialsPerCause * causes},
		{"faults", e.Faults, faultsPerCause * causes},
		{"resets", e.Resets, resetsPerCause * causes},
		{"remote resets", e.RemoteResets, remoteResetsPerForce*forced + resetsPerCause*unlike},
		{"replayed messages", e.Replayed, replaysOfCause * causes * e.Sent},
		{"SESSION_RETRY", e.Retries, retriesFree + causes/causesPerRetry},
		{"SESSION_RETRY_GLOBAL", e.RetryGlobals, retryGlobalsFree},
		{"rejected messages", e.Rejected, rejectedFree},
	}
	for _, cost := range d.h.costs {
		if cost.N > cost.AtMost {
			bad = append(bad, fmt.Sprintf(
				"%v: %d connections harmed, %d pairs of nodes, %d times force, %d timeouts, %d refusals, %d rekeys",
				cost, harmed, len(pairs), forced, e.Timeouts, e.Refusals, e.Rekeys))
		}
	}
	return bad
}

// Cost is something that trouble has cost, and the bound of it (E1).
type Cost struct {
	What      string
	N, AtMost uint64
}

func (c Cost) String() string { return fmt.Sprintf("%d %s, at most %d", c.N, c.What, c.AtMost) }

// Share is the part of the bound that was used; 0 if nothing was spent.
func (c Cost) Share() float64 {
	if c.N == 0 {
		return 0
	}
	return float64(c.N) / float64(c.AtMost)
}
