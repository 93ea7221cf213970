package resolve

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// FollowConfig configures a Follower; the zero value works.
type FollowConfig struct {
	// DropAbsent marks the connection of a name down when the name leaves the map.
	// Otherwise it stays, and the messenger goes on trying.
	DropAbsent bool
	// NamesMax bounds the names whose last addresses are remembered, those that have left
	// the map included; 0 means 65536. At the bound a map with other names is refused
	// (ErrTooMany), and the last one stays.
	NamesMax int
	// Moved, if set, is called after the connection of a dialled name was replaced; the new
	// one is nil if it could not be made (the log says why) or the name is gone. It runs on
	// the goroutine that brought the map, and may call Dial.
	Moved func(name entity.Name, from, to msg.Connection)
	// Logger; nil means slog.Default().
	Logger *slog.Logger
}

// Follower connects a messenger with names, and keeps the connections with who moves; see
// the package. Any goroutine may call the methods; none but Dial, Send and Run waits.
type Follower struct {
	m   *async.Messenger
	cfg FollowConfig
	b   Board

	apply sync.Mutex // that maps are carried out one after the other
	mu    sync.Mutex
	peers map[entity.Name]*followed
	stats Stats // Moved and Misnamed
}

// followed is a name, and where it was last.
type followed struct {
	addrs  entity.AddrVec
	absent bool
	conn   msg.Connection // of the last Dial; nil: it was not dialled
	epoch  uint64         // of the map for which Misnamed was logged
}

// NewFollower returns a follower for m that has no map yet. It adds a dispatcher to m's
// chain, which handles no message: it looks whether who answers has the name asked for. The
// follower lives as long as m, and has no goroutine.
func NewFollower(m *async.Messenger, cfg FollowConfig) *Follower {
	cfg.NamesMax = cmp.Or(cfg.NamesMax, EntriesMax)
	cfg.Logger = cmp.Or(cfg.Logger, slog.Default())
	f := &Follower{m: m, cfg: cfg, peers: map[entity.Name]*followed{}}
	m.AddDispatcherTail(names{f})
	return f
}

// Run applies the maps of r until ctx ends, and returns why it ended.
func (f *Follower) Run(ctx context.Context, r Resolver) error {
	return r.Watch(ctx, func(m *Map) {
		if err := f.Apply(m); err != nil && !errors.Is(err, ErrOld) {
			f.cfg.Logger.Warn("resolve: a map is not followed", "epoch", m.Epoch, "error", err)
		}
	})
}

// Apply makes m the follower's map: connections of names that have moved are marked down
// and, if they were dialled, made anew. Errors: ErrOld, ErrConflict and ErrTooMany; m is
// then ignored, and counted. It does not wait for connections.
func (f *Follower) Apply(m *Map) error {
	f.apply.Lock()
	defer f.apply.Unlock()
	if cur := f.b.Current(); cur == nil || m.Epoch > cur.Epoch {
		if err := f.room(m); err != nil {
			f.b.count(func(s *Stats) { s.Bad++ })
			return err
		}
	}
	before := f.b.Current()
	if err := f.b.Publish(m); err != nil || f.b.Current() == before {
		return err
	}
	type move struct {
		name     entity.Name
		old, now entity.AddrVec // now is nil for one that is gone
		conn     msg.Connection
	}
	var moves []move
	f.mu.Lock()
	for _, e := range m.Entries {
		p := f.peers[e.Name]
		switch {
		case p == nil:
			f.peers[e.Name] = &followed{addrs: e.Addrs}
		case !p.addrs.Equal(e.Addrs):
			moves = append(moves, move{e.Name, p.addrs, e.Addrs, p.conn})
			p.addrs, p.absent = e.Addrs, false
		default:
			p.absent = false
		}
	}
	for name, p := range f.peers {
		if p.absent || m.Lookup(name) != nil {
			continue
		}
		p.absent = true
		if f.cfg.DropAbsent {
			moves = append(moves, move{name, p.addrs, nil, p.conn})
		}
	}
	f.mu.Unlock()
	for _, v := range moves {
		f.move(v.name, v.old, v.now, v.conn)
	}
	return nil
}

// room says whether the names of m can be remembered, and forgets what has no connection
// and is not in it to make room.
func (f *Follower) room(m *Map) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := len(f.peers)
	for _, e := range m.Entries {
		if f.peers[e.Name] == nil {
			n++
		}
	}
	for name, p := range f.peers {
		if n <= f.cfg.NamesMax {
			break
		}
		if m.Lookup(name) == nil && (p.conn == nil || p.conn.IsClosed()) {
			delete(f.peers, name)
			n--
		}
	}
	if n > f.cfg.NamesMax {
		return fmt.Errorf("%w: %d, with those remembered, at most %d", ErrTooMany, n, f.cfg.NamesMax)
	}
	return nil
}

// move ends the connections with where name was and, if it was dialled, begins one with
// where it is. was is the connection of the last Dial.
func (f *Follower) move(name entity.Name, old, now entity.AddrVec, was msg.Connection) {
	f.mu.Lock()
	f.stats.Moved++
	f.mu.Unlock()
	// Who calls us is not dialled, but found under its address; somebody else may be there
	// by now.
	if c := f.m.Lookup(old); c != nil && !c.IsLoopback() && c != was && f.is(c, name) && !leads(c, now) {
		c.MarkDown()
	}
	if was == nil {
		return
	}
	var to msg.Connection
	if now != nil {
		if c := f.m.Lookup(now); c == was && leads(was, now) {
			return // the same process, by another of its addresses
		}
	}
	if !was.IsLoopback() {
		was.MarkDown()
	}
	if now != nil {
		c, err := f.m.ConnectTo(name.Type, now)
		if err != nil {
			f.cfg.Logger.Warn("resolve: cannot follow a name that has moved", "name", name, "to", now, "error", err)
		} else {
			to = c
		}
	}
	f.mu.Lock()
	if p := f.peers[name]; p != nil && p.conn == was {
		p.conn = to
	}
	f.mu.Unlock()
	if f.cfg.Moved != nil {
		f.cfg.Moved(name, was, to)
	}
}

// is says whether c leads to name, as far as c knows who its peer is.
func (f *Follower) is(c msg.Connection, name entity.Name) bool {
	p := c.PeerName()
	return p.Type == name.Type && (p.Num == name.Num || p.Num < 0)
}

// leads says whether c is a connection with a process at these addresses that is known by
// now: one with all of them.
func leads(c msg.Connection, now entity.AddrVec) bool {
	if now == nil {
		return false
	}
	have := c.PeerAddrs()
	for _, a := range now {
		if !have.Contains(a) {
			return false
		}
	}
	return true
}

// Dial returns the connection with name, and begins to connect if there is none, as
// Messenger.ConnectTo does. It waits for the first map, until ctx ends, and for nothing
// else. When the name moves the connection is closed, and another Dial gives the new one.
// Errors: ErrUnknown, ErrNoMap, and those of ConnectTo.
func (f *Follower) Dial(ctx context.Context, name entity.Name) (msg.Connection, error) {
	for {
		e, err := f.b.Resolve(ctx, name)
		if err != nil {
			return nil, err
		}
		c, err := f.m.ConnectTo(name.Type, e.Addrs)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		f.mu.Lock()
		p := f.peers[name]
		current := p != nil && p.addrs.Equal(e.Addrs) && !p.absent
		if current {
			p.conn = c
		}
		f.mu.Unlock()
		if current {
			return c, nil
		}
		// A map came between, and is being applied: it did not know of this connection.
		f.apply.Lock()
		moved := !f.b.Current().Lookup(name).Equal(e.Addrs)
		f.apply.Unlock()
		if moved && !c.IsLoopback() {
			c.MarkDown()
		}
	}
}

// Send sends x to name, connecting if need be; see Dial and msg.Connection.Send for the
// errors. On an error x stays the caller's.
func (f *Follower) Send(ctx context.Context, x *msg.Message, name entity.Name) error {
	c, err := f.Dial(ctx, name)
	if err != nil {
		return err
	}
	return c.Send(x)
}

// Current is the follower's map, nil if there was none yet.
func (f *Follower) Current() *Map { return f.b.Current() }

// Stats is what was counted.
func (f *Follower) Stats() Stats {
	s := f.b.Stats()
	f.mu.Lock()
	defer f.mu.Unlock()
	s.Moved, s.Misnamed = f.stats.Moved, f.stats.Misnamed
	return s
}

// names is the follower's dispatcher: it looks who answers.
type names struct{ f *Follower }

// Dispatch implements msg.Dispatcher: no message is handled here.
func (names) Dispatch(*msg.Message) bool { return false }

// HandleConnect implements msg.ConnectHandler. A connection that was dialled for one name
// and leads to another is marked down: the map is wrong. The next map may mend it.
func (n names) HandleConnect(c msg.Connection) {
	f := n.f
	f.mu.Lock()
	var name entity.Name
	var again bool
	for who, p := range f.peers {
		if p.conn == c && !f.is(c, who) {
			name, again = who, true
			if cur := f.b.Current(); cur != nil && p.epoch != cur.Epoch {
				p.epoch, again = cur.Epoch, false
			}
			f.stats.Misnamed++
			break
		}
	}
	f.mu.Unlock()
	if name == (entity.Name{}) {
		return
	}
	if !again {
		f.cfg.Logger.Warn("resolve: another entity answers at the address of a name; the map is wrong, "+
			"or older than who took the address", "name", name, "answers", c.PeerName(), "addrs", c.PeerAddrs())
	}
	c.MarkDown()
}
