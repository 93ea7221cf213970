package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// handleClient serves a client: any node does, whoever has the copies.
func (n *Node) handleClient(ctx context.Context, typ uint16, req []byte) ([]byte, error) {
	select {
	case n.requests <- struct{}{}:
		defer func() { <-n.requests }()
	default:
		return clientAnswer(nil, ErrBusy)
	}
	ctx, cancel := context.WithTimeout(ctx, n.cfg.RequestTimeout)
	defer cancel()
	defer context.AfterFunc(n.life, cancel)()
	r := reader{b: req}
	switch typ {
	case typeGet:
		k, head := string(r.bytes()), r.u8() != 0
		if err := errors.Join(r.end(), checkObject(Object{Key: k})); err != nil {
			return clientAnswer(nil, err)
		}
		o, err := n.get(ctx, k, head)
		if head {
			o.Value = nil
		}
		return clientAnswer(appendObject(nil, o), err)
	case typePut:
		o := r.object()
		if err := errors.Join(r.end(), checkObject(o)); err != nil {
			return clientAnswer(nil, err)
		}
		if o.Version.Counter == 0 {
			return clientAnswer(nil, errors.New("node: a write without a version"))
		}
		return clientAnswer(nil, n.put(ctx, o))
	}
	first, prefix := int(r.u64()), string(r.bytes())
	if err := r.end(); err != nil || first < 0 || first > bucketCount {
		return clientAnswer(nil, errShort)
	}
	keys, next, err := n.list(ctx, first, prefix)
	b := appendU64(nil, uint64(next))
	for _, k := range keys {
		b = appendBytes(b, k)
	}
	return clientAnswer(b, err)
}

// What a client is answered first.
var clientErrors = []error{nil, ErrNotFound, ErrUnavailable, ErrFull, ErrBusy, ErrTooLarge}

func clientAnswer(b []byte, err error) ([]byte, error) {
	if err == nil {
		return append([]byte{0}, b...), nil
	}
	for i, e := range clientErrors[1:] {
		if errors.Is(err, e) {
			text := strings.TrimPrefix(strings.TrimPrefix(err.Error(), e.Error()), ": ")
			return append([]byte{byte(i + 1)}, text...), nil
		}
	}
	return append([]byte{255}, err.Error()...), nil
}

// parseAnswer is the client's side of clientAnswer.
func parseAnswer(b []byte) ([]byte, error) {
	switch {
	case len(b) == 0:
		return nil, errShort
	case b[0] == 0:
		return b[1:], nil
	case int(b[0]) < len(clientErrors):
		return nil, fmt.Errorf("%w: %s", clientErrors[b[0]], b[1:])
	}
	return nil, errors.New(string(b[1:]))
}

// get returns the newest version of an object that was acknowledged, or a newer one. What it
// returns a majority has, so that nobody who asks later gets an older one. An object that is
// not there has the zero Version, or is Deleted. head: the version is wanted alone, and may be
// of a write that is under way.
func (n *Node) get(ctx context.Context, k string, head bool) (Object, error) {
	var newest Object
	var versions map[key]Version
	sets, err := n.phase(ctx, k, typeRead, false, appendBytes(nil, k),
		func() { newest, versions = Object{Key: k}, map[key]Version{} },
		func(m Member, b []byte) error {
			r := reader{b: b}
			o := r.object()
			if err := r.end(); err != nil || o.Key != k {
				return errShort
			}
			if versions[m.key()] = o.Version; o.Version.Compare(newest.Version) > 0 {
				newest = o
			}
			return nil
		})
	if err != nil || head {
		return newest, err
	}
	// Where fewer than a majority had it, somebody else might yet be told an older one.
	got := map[key]bool{}
	for k, v := range versions {
		got[k] = v == newest.Version
	}
	if newest.Version != (Version{}) && !haveMajorities(sets, got) {
		if err := n.put(ctx, newest); err != nil {
			return newest, err
		}
	}
	return newest, nil
}

// put returns when a majority has o, or something newer. It may be repeated.
func (n *Node) put(ctx context.Context, o Object) error {
	_, err := n.phase(ctx, o.Key, typeStore, true, appendObject(nil, o), func() {},
		func(Member, []byte) error { return nil })
	return err
}

// phase asks those who have copies of an object until a majority has answered, of each set
// that the map has for it, with one and the same map; and again, with the next map, as
// long as that is not so and ctx has not ended. begin is called before each time. each gets
// the answers, one after the other. lasting: who has not answered by then goes on. It returns
// the sets of the map that it was done with.
func (n *Node) phase(ctx context.Context, k string, typ uint16, lasting bool, body []byte,
	begin func(), each func(Member, []byte) error) ([][]Member, error) {
	why := errors.New("there is no map")
	for wait := 10 * time.Millisecond; ; wait = min(2*wait, 250*time.Millisecond) {
		m, news := n.mapAndNews()
		if m != nil {
			begin()
			sets := m.sets(k)
			done, err := n.try(ctx, m, sets, typ, lasting, body, each)
			if done {
				return sets, nil
			}
			why = err
			if errors.Is(err, ErrFull) {
				return nil, err
			}
			if errors.Is(err, errNewer) {
				continue
			}
		}
		t := time.NewTimer(jitter(wait))
		select {
		case <-t.C:
		case <-news:
		case <-ctx.Done():
		}
		t.Stop()
		if ctx.Err() != nil {
			return nil, fmt.Errorf("%w: %w", ErrUnavailable, why)
		}
	}
}

// try is one time of phase.
func (n *Node) try(ctx context.Context, m *Map, sets [][]Member, typ uint16, lasting bool, body []byte,
	each func(Member, []byte) error) (done bool, why error) {
	targets := n.targets(sets)
	type reply struct {
		m   Member
		b   []byte
		err error
	}
	replies := make(chan reply, len(targets))
	calls, cancel := context.WithTimeout(context.WithoutCancel(ctx), n.cfg.CallTimeout)
	stop := context.AfterFunc(n.life, cancel)
	left := make(chan struct{}, len(targets))
	for _, x := range targets {
		n.run(func() {
			b, err := n.callMember(calls, x, m.Epoch, typ, false, body)
			replies <- reply{x, b, err}
			left <- struct{}{}
			if len(left) == len(targets) {
				stop()
				cancel()
			}
		})
	}
	if !lasting {
		defer cancel()
	}
	got := map[key]bool{}
	for range targets {
		var a reply
		select {
		case a = <-replies:
		case <-ctx.Done():
			return false, ctx.Err()
		}
		if a.err == nil {
			a.err = each(a.m, a.b)
		}
		if a.err != nil {
			why = fmt.Errorf("%s: %w", a.m.Name, a.err)
			if errors.Is(a.err, errNewer) {
				return false, why
			}
			continue
		}
		got[a.m.key()] = true
		if haveMajorities(sets, got) {
			return true, nil
		}
	}
	if why == nil {
		why = errors.New("too few of those who have it are there")
	}
	return false, why
}

// haveMajorities says whether of each set a majority is in got.
func haveMajorities(sets [][]Member, got map[key]bool) bool {
	for _, s := range sets {
		n := 0
		for _, m := range s {
			if got[m.key()] {
				n++
			}
		}
		if n < majority(len(s)) {
			return false
		}
	}
	return true
}

// targets are the members to ask: of all in sets those that were heard of lately, if they
// suffice, and otherwise all. It saves what would wait for nobody.
func (n *Node) targets(sets [][]Member) []Member {
	all, up, f := map[key]Member{}, map[key]bool{}, n.fresh()
	for _, s := range sets {
		for _, x := range s {
			all[x.key()] = x
			if h, ok := f[x.Name]; ok && h.Inc == x.Inc {
				up[x.key()] = true
			}
		}
	}
	if haveMajorities(sets, up) {
		maps.DeleteFunc(all, func(k key, _ Member) bool { return !up[k] })
	}
	return slices.Collect(maps.Values(all))
}

// list returns the keys of objects that are there, of the buckets from first on until there
// are enough, and the bucket to go on with; bucketCount at the end.
func (n *Node) list(ctx context.Context, first int, prefix string) (keys []string, next int, err error) {
	m := n.Map()
	if m == nil {
		return nil, 0, fmt.Errorf("%w: there is no map", ErrUnavailable)
	}
	type page struct {
		m     Member
		metas []meta
		next  int
		err   error
	}
	all := m.all()
	pages := make(chan page, len(all))
	ctx, cancel := context.WithTimeout(ctx, n.cfg.CallTimeout)
	defer cancel()
	body := appendU64(appendU64(nil, uint64(first)), 0)
	for _, x := range all {
		n.run(func() {
			p := page{m: x}
			var b []byte
			if b, p.err = n.callMember(ctx, x, m.Epoch, typeScan, false, body); p.err == nil {
				p.metas, p.next, p.err = readMetas(b)
			}
			pages <- p
		})
	}
	newest := map[string]meta{}
	next = bucketCount
	heard := map[key]bool{}
	for range all {
		p := <-pages
		if p.err != nil {
			err = fmt.Errorf("%s: %w", p.m.Name, p.err)
			continue
		}
		heard[p.m.key()] = true
		next = min(next, p.next)
		for _, x := range p.metas {
			if was, ok := newest[x.Key]; !ok || was.Version.Compare(x.Version) < 0 {
				newest[x.Key] = x
			}
		}
	}
	if !heardEnough(m.Members, heard) || m.joint() && !heardEnough(m.Old, heard) {
		return nil, 0, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	for k, x := range newest {
		if !x.Deleted && bucketOf(k) < next && strings.HasPrefix(k, prefix) {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	return keys, next, nil
}

// heardEnough says whether enough of l are in heard for each object to have been heard of
// by a majority of its copies.
func heardEnough(l []Member, heard map[key]bool) bool {
	n := 0
	for _, m := range l {
		if heard[m.key()] {
			n++
		}
	}
	return n >= len(l)-mayMiss(len(l))
}

// Status is what a node says of itself.
type Status struct {
	Name    string
	Addr    string
	Life    string // Inc, in hexadecimal
	Epoch   uint64
	Members []MemberStatus
	// Joint: members are still fetching what is theirs. Member: this node is one, and Synced
	// says that it has all of it. Quorate: a majority of the members is heard of.
	Joint, Member, Synced, Quorate, Leaving bool
	Objects                                 int
	Bytes                                   int64
	// Fetched counts objects that came by recovery.
	Fetched uint64
}

// Ready says whether the node is a member of a map with a majority, and has what is its
// own: what a readiness probe asks.
func (s Status) Ready() bool { return s.Member && s.Quorate && s.Synced && !s.Leaving }

// MemberStatus is a member as a node sees it.
type MemberStatus struct {
	Name, Addr, Life string
	// Up: it was heard of lately. Synced: it has what is its own. Old: it is only asked
	// until the members have fetched what was there.
	Up, Synced, Old bool
}

// Status returns what the node says of itself.
func (n *Node) Status() Status {
	m, f := n.Map(), n.fresh()
	s := Status{Name: n.cfg.Name.String(), Addr: n.cfg.Addr, Life: fmt.Sprintf("%016x", n.cfg.Store.inc),
		Epoch: m.epoch()}
	s.Objects, s.Bytes = n.cfg.Store.Size()
	n.mu.Lock()
	s.Fetched, s.Leaving = n.pulled, n.leaving
	n.mu.Unlock()
	if m == nil {
		return s
	}
	for _, x := range m.all() {
		h, up := f[x.Name]
		up = up && h.Inc == x.Inc
		s.Members = append(s.Members, MemberStatus{Name: x.Name.String(), Addr: x.Addr,
			Life: fmt.Sprintf("%016x", x.Inc), Up: up, Synced: !m.joint() || up && h.Synced == m.Epoch,
			Old: !has(m.Members, x.key())})
	}
	s.Joint, s.Member, s.Quorate = m.joint(), has(m.Members, n.key()), n.quorate(m)
	s.Synced = s.Member && (!m.joint() || f[n.cfg.Name].Synced == m.Epoch)
	return s
}

// statusOf parses what a node answers.
func statusOf(b []byte) (s Status, err error) {
	err = json.Unmarshal(b, &s)
	return s, err
}
