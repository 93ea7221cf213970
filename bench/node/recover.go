package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// pullsMax is how many members are asked for their copies at a time.
const pullsMax = 2

// syncLoop fetches what is ours whenever a map says that members have to, and drops what is
// not ours when they have.
func (n *Node) syncLoop() {
	var dropped *Map // for which others' copies were dropped
	for n.life.Err() == nil {
		m, news := n.mapAndNews()
		switch {
		case m == nil:
		case m.joint() && has(m.Members, n.key()) && n.syncedFor() != m.Epoch:
			if err := n.sync(m); err != nil && n.life.Err() == nil {
				n.cfg.Logger.Debug("node: recovery is tried again", "node", n.cfg.Name, "epoch", m.Epoch, "error", err)
				n.pause(news)
			}
			continue
		case !m.joint():
			if dropped != m {
				n.drop(m)
				dropped = m
			}
			n.catchUp(m)
		}
		n.pause(news)
	}
}

// pause waits for the next map, but not for long.
func (n *Node) pause(news <-chan struct{}) {
	t := time.NewTimer(jitter(n.cfg.Beat))
	defer t.Stop()
	select {
	case <-t.C:
	case <-news:
	case <-n.life.Done():
	}
}

// catchUp fetches what we may have missed while we were away or cut off. Nothing depends on
// it, since a majority has what was acknowledged; it makes three copies of what has two.
func (n *Node) catchUp(m *Map) {
	if !has(m.Members, n.key()) || !n.behind.Swap(false) {
		return
	}
	heard := 0
	for _, from := range m.Members {
		if from.key() == n.key() || n.pull(n.life, m, from) == nil {
			heard++
		}
	}
	if heard < len(m.Members)-mayMiss(len(m.Members)) {
		n.behind.Store(true)
	}
}

func (n *Node) syncedFor() uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.synced
}

// drop forgets what other members have: with a map that has no Old, whoever needs it asks
// those.
func (n *Node) drop(m *Map) {
	mine := func(k string) bool { return has(place(m.Members, k), n.key()) }
	for i := range bucketCount {
		n.gate.RLock()
		if n.m == m {
			n.cfg.Store.Drop(i, mine)
		}
		n.gate.RUnlock()
	}
}

// sync fetches the newest versions of all objects that are ours by m, from so many of Old
// that a majority of the copies of each object is among them.
func (n *Node) sync(m *Map) error {
	ctx, cancel := context.WithCancel(n.life)
	defer cancel()
	errs := make(chan error, len(m.Old))
	places := make(chan struct{}, pullsMax)
	for _, from := range m.Old {
		n.run(func() {
			select {
			case places <- struct{}{}:
				defer func() { <-places }()
				errs <- n.pull(ctx, m, from)
			case <-ctx.Done():
				errs <- ctx.Err()
			}
		})
	}
	missed := 0
	var why error
	for i := range m.Old {
		if err := <-errs; err != nil {
			why = err
			if missed++; missed > mayMiss(len(m.Old)) || errors.Is(err, errNewer) {
				return why
			}
		}
		if heard := i + 1 - missed; heard >= len(m.Old)-mayMiss(len(m.Old)) {
			n.mu.Lock()
			n.synced = m.Epoch
			n.mu.Unlock()
			return nil
		}
	}
	panic(fmt.Sprintf("node: %d of %d heard, neither enough nor too few", len(m.Old)-missed, len(m.Old)))
}

// pull fetches from one member what is ours and newer there.
func (n *Node) pull(ctx context.Context, m *Map, from Member) error {
	for first := 0; first < bucketCount; {
		var metas []meta
		body := appendU64(appendU64(nil, uint64(first)), n.cfg.Store.inc)
		b, err := n.callLow(ctx, m, from, typeScan, body)
		if err == nil {
			metas, first, err = readMetas(b)
		}
		if err != nil {
			return err
		}
		var want []string
		for _, x := range metas {
			if have, _ := n.cfg.Store.Get(x.Key); have.Version.Compare(x.Version) < 0 {
				want = append(want, x.Key)
			}
		}
		for len(want) > 0 {
			some, err := n.fetch(ctx, m, from, want[:min(len(want), 64)])
			if err != nil {
				return err
			}
			want = want[some:]
		}
	}
	return nil
}

// fetch fetches the first of these objects, and returns how many.
func (n *Node) fetch(ctx context.Context, m *Map, from Member, keys []string) (int, error) {
	var body []byte
	for _, k := range keys {
		body = appendBytes(body, k)
	}
	b, err := n.callLow(ctx, m, from, typeFetch, body)
	if err != nil {
		return 0, err
	}
	some := 0
	var wait []func() error
	for r := (reader{b: b}); len(r.b) > 0; some++ {
		o := r.object()
		if r.bad || some >= len(keys) || o.Key != keys[some] {
			return 0, errShort
		}
		o.Value = slices.Clone(o.Value)
		n.gate.RLock()
		if n.m != m {
			n.gate.RUnlock()
			return 0, errNewer
		}
		safe, err := n.cfg.Store.Put(o)
		n.gate.RUnlock()
		if err != nil {
			return 0, err
		}
		wait = append(wait, safe)
	}
	if some == 0 {
		return 0, errShort
	}
	for _, safe := range wait {
		if err := safe(); err != nil {
			return 0, n.fail(err)
		}
	}
	n.mu.Lock()
	n.pulled += uint64(some)
	n.mu.Unlock()
	return some, nil
}

// callLow is callMember for recovery, which lets everything else go before it.
func (n *Node) callLow(ctx context.Context, m *Map, to Member, typ uint16, body []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*n.cfg.CallTimeout)
	defer cancel()
	return n.callMember(ctx, to, m.Epoch, typ, true, body)
}

// Leave asks the others to be left out, and returns when they have what was ours, or nobody
// is left who could take it, or ctx ends (with its error). The node serves meanwhile.
func (n *Node) Leave(ctx context.Context) error {
	n.mu.Lock()
	n.leaving = true
	n.mu.Unlock()
	for {
		m, news := n.mapAndNews()
		if m == nil || !has(m.all(), n.key()) {
			return nil
		}
		if has(m.Members, n.key()) && len(m.Members) <= membersMin {
			return fmt.Errorf("%w: %d members remain", ErrLast, len(m.Members))
		}
		select {
		case <-news:
		case <-ctx.Done():
			return ctx.Err()
		case <-n.life.Done():
			return errors.New("node: closed")
		}
	}
}

// ErrLast: the node cannot leave, since too few would remain. Its copies are away until it
// comes back.
var ErrLast = errors.New("node: it stays in the map")
