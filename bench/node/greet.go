package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
)

// seenMax is how many nodes that are in no map are remembered.
const seenMax = 2 * MembersMax

// greetLoop greets all known nodes, and has the map changed where it is ours to do.
func (n *Node) greetLoop() {
	scrubbed := now()
	for n.life.Err() == nil {
		n.greetAll()
		if m := n.Map(); m != nil && !n.quorate(m) || now().Sub(scrubbed) > n.cfg.ScrubEvery {
			n.behind.Store(true)
			scrubbed = now()
		}
		n.tend()
		sleep(n.life, jitter(n.cfg.Beat))
	}
}

// hello is what we say of ourselves.
func (n *Node) hello() hello {
	h := hello{Member: n.self(), Initial: n.cfg.Initial}
	if m := n.Map(); m != nil {
		h.Cluster, h.Epoch = m.Cluster, m.Epoch
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	h.Synced, h.Leaving = n.synced, n.leaving
	return h
}

// greetAll greets the members of the map and, as long as there is none that knows us, the
// seeds. It waits for the answers of those who are there.
func (n *Node) greetAll() {
	h := n.hello()
	body, err := json.Marshal(h)
	if err != nil {
		panic(err) // there is nothing in it that has no JSON
	}
	var to []string
	m := n.Map()
	if m != nil {
		for _, x := range m.all() {
			if x.Name != n.cfg.Name {
				to = append(to, x.Addr)
			}
		}
	}
	if n.cfg.Seeds != nil && (m == nil || !has(m.Members, n.key()) || !n.quorate(m)) {
		to = append(to, n.cfg.Seeds()...)
	}
	slices.Sort(to)
	to = slices.Compact(to)
	ctx, cancel := context.WithTimeout(n.life, n.cfg.CallTimeout)
	defer cancel()
	var wg sync.WaitGroup
	for _, addr := range to {
		if addr == n.cfg.Addr {
			continue
		}
		wg.Go(func() { n.greet(ctx, addr, body) })
	}
	wg.Wait()
}

func (n *Node) greet(ctx context.Context, addr string, body []byte) {
	b, err := n.cfg.Transport.Call(ctx, addr, typeHello, false, body)
	if err != nil {
		return // it is not heard of, which tells
	}
	var h hello
	if json.Unmarshal(b, &h) != nil {
		return
	}
	if n.saw(h) != nil {
		return // it will be told
	}
	switch mine := n.Map(); {
	case h.Map != nil:
		if h.Map.check() == nil {
			_ = n.adopt(h.Map) // a failure is reported
		}
	case h.Epoch < mine.epoch():
		_, _ = n.cfg.Transport.Call(ctx, addr, typeMap, false, mine.encode()) // or the next time
	}
}

// errTaken: two nodes have one name.
var errTaken = errors.New("node: the name is taken, by one that is alive")

// saw notes what was heard of a node.
func (n *Node) saw(h hello) error {
	if m := n.Map(); m != nil && h.Cluster != 0 && m.Cluster != h.Cluster {
		return errForeign
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if h.Inc == 0 || h.Name == n.cfg.Name && h.Inc != n.cfg.Store.inc {
		return fmt.Errorf("%w: %s", errTaken, h.Name)
	}
	if h.Name == n.cfg.Name {
		return nil // we have found ourselves, by an address that was not known to be ours
	}
	t := now().UnixNano()
	if was, ok := n.seen[h.Name]; ok && was.Inc != h.Inc && was.Addr != h.Addr &&
		t-was.at < int64(n.cfg.DownAfter) {
		return fmt.Errorf("%w: %s at %s", errTaken, h.Name, was.Addr)
	} else if !ok && len(n.seen) >= seenMax {
		n.forgetLocked(t)
	}
	h.Map = nil
	if len(n.seen) < seenMax {
		n.seen[h.Name] = sight{h, t}
	}
	return nil
}

// forgetLocked forgets who has not been heard of for long.
func (n *Node) forgetLocked(t int64) {
	for name, s := range n.seen {
		if t-s.at > int64(n.cfg.DownAfter) {
			delete(n.seen, name)
		}
	}
}

// handleHello answers a greeting.
func (n *Node) handleHello(b []byte) ([]byte, error) {
	var h hello
	if err := json.Unmarshal(b, &h); err != nil {
		return nil, err
	}
	if err := n.saw(h); err != nil {
		return nil, err
	}
	mine := n.hello()
	if m := n.Map(); h.Epoch < m.epoch() {
		mine.Map = m
	}
	return json.Marshal(mine)
}

// fresh are the nodes that were heard of lately, ourselves included.
func (n *Node) fresh() map[entity.Name]hello {
	self := n.hello()
	n.mu.Lock()
	defer n.mu.Unlock()
	f := map[entity.Name]hello{n.cfg.Name: self}
	t := now().UnixNano()
	for name, s := range n.seen {
		if t-s.at < int64(n.cfg.DownAfter) {
			f[name] = s.hello
		}
	}
	return f
}

// quorate says whether a majority of the members of m was heard of lately.
func (n *Node) quorate(m *Map) bool {
	live, f := 0, n.fresh()
	for _, x := range m.Members {
		if h, ok := f[x.Name]; ok && h.Inc == x.Inc {
			live++
		}
	}
	return live >= majority(len(m.Members))
}

// tend proposes the next map if one is needed and it is ours to propose: of the members
// that are there, the one with the lowest name does. That two think so at a time delays
// things, and harms nothing.
func (n *Node) tend() {
	m, f := n.Map(), n.fresh()
	var want *Map
	if m == nil {
		want = n.founding(f)
	} else if lowest(m, f) == n.key() {
		want = next(m, f)
	}
	if want == nil {
		return
	}
	got, err := n.cfg.Agreement.Propose(n.life, n, m, want)
	if err != nil {
		if s := err.Error(); s != n.said && n.life.Err() == nil {
			n.said = s
			n.cfg.Logger.Warn("node: no new map is agreed; it is tried again", "node", n.cfg.Name,
				"after", m.epoch(), "error", err)
		}
		return
	}
	n.said = ""
	if n.adopt(got) == nil {
		n.spread(m, got)
	}
}

// lowest is the member with the lowest name among those that are there.
func lowest(m *Map, f map[entity.Name]hello) key {
	for _, x := range m.Members {
		if h, ok := f[x.Name]; ok && h.Inc == x.Inc {
			return x.key()
		}
	}
	return key{}
}

// founding is the first map, if it is ours to propose: all who are to found the cluster are
// there, have no map, and were told the same.
func (n *Node) founding(f map[entity.Name]hello) *Map {
	if len(n.cfg.Initial) == 0 || n.cfg.Initial[0] != n.cfg.Name {
		return nil
	}
	m := &Map{Cluster: n.cfg.Store.inc, Epoch: 1}
	for _, name := range n.cfg.Initial {
		h, ok := f[name]
		if !ok || h.Epoch != 0 || !slices.Equal(h.Initial, n.cfg.Initial) {
			return nil
		}
		m.Members = append(m.Members, h.Member)
	}
	return m
}

// spread tells all whom it concerns of a map; who is not reached hears of it by greeting.
func (n *Node) spread(was, m *Map) {
	to := m.all()
	if was != nil {
		to = append(to, was.all()...)
	}
	b := m.encode()
	ctx, cancel := context.WithTimeout(n.life, n.cfg.CallTimeout)
	defer cancel()
	var wg sync.WaitGroup
	told := map[string]bool{n.cfg.Addr: true}
	for _, x := range to {
		if told[x.Addr] {
			continue
		}
		told[x.Addr] = true
		wg.Go(func() { _, _ = n.cfg.Transport.Call(ctx, x.Addr, typeMap, false, b) })
	}
	wg.Wait()
}
