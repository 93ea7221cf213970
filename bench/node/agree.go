package node

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
)

// Agreement decides which map follows another one: at most one does, whoever asks.
type Agreement interface {
	// Propose asks for next to follow base, which is nil if next is to be the first. It
	// returns what follows base as far as is known afterwards, which may be what somebody
	// else has proposed, with its epoch. n is who asks.
	Propose(ctx context.Context, n *Node, base, next *Map) (*Map, error)
}

// ballot orders attempts to agree on one map.
type ballot struct {
	N  uint64
	By uint64 // Inc of who tries
}

func (b ballot) compare(o ballot) int { return cmp.Or(cmp.Compare(b.N, o.N), cmp.Compare(b.By, o.By)) }

// acceptance is what an acceptor remembers of the decision on the map after Base. That of a
// later Base begins anew.
type acceptance struct {
	Base     uint64
	Promised ballot
	Accepted ballot // zero: nothing
	Value    *Map   `json:",omitempty"`
}

func (a acceptance) encode() []byte {
	b, err := json.Marshal(a)
	if err != nil {
		panic(err) // there is nothing in it that has no JSON
	}
	return b
}

// round is a request of either round, and what is answered to the first.
type round struct {
	Base    uint64
	Ballot  ballot
	Value   *Map          `json:",omitempty"` // to accept; or accepted, in an answer
	Initial []entity.Name `json:",omitempty"` // with Base 0: who founds the cluster
	Refused bool          `json:",omitempty"` // in an answer: a higher ballot was promised, this one
}

// accept is the acceptor's part: Paxos, with one decision for each map, among that map's
// Members. It changes a as told, and returns the answer; the caller saves a first.
func (a *acceptance) accept(r round, second bool) round {
	if a.Base != r.Base {
		*a = acceptance{Base: r.Base}
	}
	switch {
	case r.Ballot.compare(a.Promised) < 0:
		return round{Base: r.Base, Ballot: a.Promised, Refused: true}
	case second:
		a.Promised, a.Accepted, a.Value = r.Ballot, r.Ballot, r.Value
		return round{Base: r.Base, Ballot: r.Ballot}
	}
	a.Promised = r.Ballot
	return round{Base: r.Base, Ballot: a.Accepted, Value: a.Value}
}

// paxos agrees among the members themselves.
//
// The map after base is what a majority of base's Members has accepted. Before there is
// one, all nodes of Initial have to promise, so that nobody founds a second cluster while
// one of them knows the first.
type paxos struct {
	mu   sync.Mutex
	last uint64 // of the ballots
}

// errRefused: another attempt was under way.
var errRefused = errors.New("node: another map is being agreed")

// Propose implements Agreement.
func (p *paxos) Propose(ctx context.Context, n *Node, base, next *Map) (*Map, error) {
	var to []Member
	r := round{Initial: n.cfg.Initial}
	promises, accepts := 0, 0
	if base == nil {
		to = next.Members
		promises, accepts = len(to), majority(len(to))
	} else {
		r.Base, to = base.Epoch, base.Members
		promises = majority(len(to))
		accepts = promises
	}
	p.mu.Lock()
	// The clock makes ballots that rise through restarts, whose numbers nobody remembers.
	p.last = max(p.last+1, uint64(now().UnixNano()))
	r.Ballot = ballot{p.last, n.cfg.Store.inc}
	p.mu.Unlock()

	value, highest := next, ballot{}
	got := 0
	var why error
	n.ask(ctx, to, r.Base, typePrepare, r, func(_ Member, a round, err error) bool {
		switch {
		case err != nil:
			why = err
		case a.Refused:
			why = errRefused
			p.saw(a.Ballot)
		default:
			got++
			if a.Value != nil && a.Ballot.compare(highest) > 0 {
				value, highest = a.Value, a.Ballot
			}
		}
		return got >= promises
	})
	if got < promises {
		return nil, fmt.Errorf("%d of %d promise, %d are needed: %w", got, len(to), promises, why)
	}
	r.Value, got = value, 0
	n.ask(ctx, to, r.Base, typeAccept, r, func(_ Member, a round, err error) bool {
		switch {
		case err != nil:
			why = err
		case a.Refused:
			why = errRefused
			p.saw(a.Ballot)
		default:
			got++
		}
		return got >= accepts
	})
	if got < accepts {
		return nil, fmt.Errorf("%d of %d accept, %d are needed: %w", got, len(to), accepts, why)
	}
	return value, nil
}

// saw keeps the next ballot above one that was seen.
func (p *paxos) saw(b ballot) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last = max(p.last, b.N)
}

// ask sends a round to all of to at the same time and hands the answers to each, one after
// the other, until that returns true or all have answered.
func (n *Node) ask(ctx context.Context, to []Member, epoch uint64, typ uint16, r round,
	each func(Member, round, error) (enough bool)) {
	body, err := json.Marshal(r)
	if err != nil {
		panic(err) // there is nothing in it that has no JSON
	}
	ctx, cancel := context.WithTimeout(ctx, n.cfg.CallTimeout)
	defer cancel()
	type answer struct {
		m   Member
		r   round
		err error
	}
	answers := make(chan answer, len(to))
	for _, m := range to {
		n.run(func() {
			a := answer{m: m}
			var b []byte
			if b, a.err = n.callMember(ctx, m, epoch, typ, false, body); a.err == nil {
				a.err = json.Unmarshal(b, &a.r)
			}
			answers <- a
		})
	}
	for range to {
		if a := <-answers; each(a.m, a.r, a.err) {
			return
		}
	}
}

// handleRound is the acceptor: the answer to a round of who has the same map.
func (n *Node) handleRound(b []byte, second bool) ([]byte, error) {
	var r round
	if err := json.Unmarshal(b, &r); err != nil {
		return nil, err
	}
	n.agree.Lock()
	defer n.agree.Unlock()
	m := n.Map()
	switch {
	case r.Base != m.epoch():
		return nil, fmt.Errorf("node: asked for the map after epoch %d, have %d", r.Base, m.epoch())
	case m == nil && !slices.Equal(r.Initial, n.cfg.Initial):
		return nil, fmt.Errorf("node: asked to found a cluster of %v, but was told %v", r.Initial, n.cfg.Initial)
	case m != nil && !has(m.Members, n.key()):
		return nil, errors.New("node: not a member")
	case second && (r.Value == nil || r.Value.check() != nil):
		return nil, errShort
	}
	a := n.acc
	answer := a.accept(r, second)
	if a != n.acc {
		if err := n.cfg.Store.saveAcceptance(a); err != nil {
			return nil, err
		}
		n.acc = a
	}
	return json.Marshal(answer)
}

// epoch is 0 where there is no map.
func (m *Map) epoch() uint64 {
	if m == nil {
		return 0
	}
	return m.Epoch
}
