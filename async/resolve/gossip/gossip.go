// Package gossip is a resolver that needs no server: each messenger has memberlist
// (github.com/hashicorp/memberlist, SWIM) tell the others where it is, over its own
// connections. It is a module of its own: who does not use it does not build memberlist.
//
// A name is in the map while memberlist takes its process for alive. Nobody orders what
// different processes see: the epochs are counted by each for itself, two processes may
// have different maps for a while, and in a network in parts each part has its own. What
// must not happen twice has to be agreed by other means; this is for finding each other.
//
// Two processes with one name are a conflict, which memberlist decides for the one that was
// first; it is logged once and counted (Stats.Conflicts).
package gossip

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/adapters/memberlist"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/resolve"
)

// Config configures Open; the zero value works.
type Config struct {
	// Transport are the options of the transport.
	Transport memberlistmsgr.Options
	// Memberlist may change memberlist's configuration, which is that of a local network,
	// before it begins: its times, for example. Name, Transport and delegates are ours.
	Memberlist func(*memberlist.Config)
	// LeaveTimeout bounds the farewell of Close; 0 means 2 s.
	LeaveTimeout time.Duration
	// Logger; nil means slog.Default(). What memberlist logs is there at level debug.
	Logger *slog.Logger
}

// Resolver knows who is there by gossip. Its goroutines are memberlist's.
type Resolver struct {
	resolve.Board
	cfg  Config
	list *memberlist.Memberlist

	mu      sync.Mutex
	epoch   uint64
	entries map[string]resolve.Entry // by memberlist's name, which is the entity's
	said    map[string]bool          // names whose conflict was logged
}

// Open begins to tell where m is, which is bound and started, with that name and those
// addresses, and to listen to others; Join says whom to begin with. m stays the caller's,
// who shuts it down after Close.
func Open(m *async.Messenger, cfg Config) (*Resolver, error) {
	cfg.LeaveTimeout = cmp.Or(cfg.LeaveTimeout, 2*time.Second)
	cfg.Logger = cmp.Or(cfg.Logger, slog.Default())
	at := m.Addrs().Msgr2().Place()
	if !at.IsValid() || at.Port() == 0 {
		return nil, errors.New("gossip: the messenger is not bound: nobody could reach it")
	}
	t, err := memberlistmsgr.New(m, cfg.Transport)
	if err != nil {
		return nil, err
	}
	r := &Resolver{cfg: cfg, entries: map[string]resolve.Entry{}, said: map[string]bool{}}
	c := memberlist.DefaultLANConfig()
	c.DeadNodeReclaimTime = 5 * time.Second // then a name may come back elsewhere
	if cfg.Memberlist != nil {
		cfg.Memberlist(c)
	}
	c.Name, c.Transport = m.Name().String(), t
	c.Events, c.Conflict, c.Delegate = events{r}, events{r}, meta{m.Addrs().String()}
	c.AdvertiseAddr, c.AdvertisePort = at.Addr().String(), int(at.Port())
	c.LogOutput, c.Logger = nil, log.New(debug{cfg.Logger}, "", 0)
	if len(m.Addrs().String()) > memberlist.MetaMaxSize {
		_ = t.Shutdown()
		return nil, fmt.Errorf("gossip: the addresses have more than %d bytes of text", memberlist.MetaMaxSize)
	}
	if r.list, err = memberlist.Create(c); err != nil {
		_ = t.Shutdown()
		return nil, err
	}
	return r, nil
}

// Join gets to know others by way of who is at these addresses, as HOST:PORT, and returns
// how many of them answered. It waits for them, and may be called again. An error wraps
// those of all, if none answered.
func (r *Resolver) Join(addrs ...string) (int, error) { return r.list.Join(addrs) }

// Close says farewell, so that others need not find out, and ends what watches and resolves
// here.
func (r *Resolver) Close() error {
	err := r.list.Leave(r.cfg.LeaveTimeout)
	return errors.Join(err, r.list.Shutdown(), r.Board.Close())
}

// publish makes what is known a map; with the lock.
func (r *Resolver) publish() {
	entries := make([]resolve.Entry, 0, len(r.entries))
	for _, e := range r.entries {
		entries = append(entries, e)
	}
	r.epoch++
	m, err := resolve.NewMap(r.epoch, entries...)
	if err == nil {
		err = r.Publish(m)
	}
	if err != nil && !errors.Is(err, resolve.ErrClosed) {
		r.cfg.Logger.Warn("gossip: a map is not taken; the last one stays in force", "error", err)
	}
}

// entryOf reads what a node says of itself.
func entryOf(n *memberlist.Node) (e resolve.Entry, err error) {
	if e.Name, err = entity.ParseName(n.Name); err != nil {
		return e, err
	}
	if len(n.Meta) > 0 {
		e.Addrs, err = entity.ParseAddrVec(string(n.Meta))
	} else {
		e.Addrs, err = entity.ParseAddrVec(net.JoinHostPort(n.Addr.String(), strconv.Itoa(int(n.Port))))
	}
	return e, err
}

// events is the Resolver as memberlist tells it what happens.
type events struct{ r *Resolver }

// NotifyJoin implements memberlist.EventDelegate.
func (e events) NotifyJoin(n *memberlist.Node) {
	r := e.r
	r.mu.Lock()
	defer r.mu.Unlock()
	x, err := entryOf(n)
	if err != nil {
		r.cfg.Logger.Warn("gossip: a node is left out", "name", n.Name, "says", string(n.Meta), "error", err)
		delete(r.entries, n.Name)
	} else {
		r.entries[n.Name] = x
	}
	r.publish()
}

// NotifyUpdate implements memberlist.EventDelegate.
func (e events) NotifyUpdate(n *memberlist.Node) { e.NotifyJoin(n) }

// NotifyLeave implements memberlist.EventDelegate: it has left, or is taken for dead.
func (e events) NotifyLeave(n *memberlist.Node) {
	e.r.mu.Lock()
	defer e.r.mu.Unlock()
	delete(e.r.entries, n.Name)
	e.r.publish()
}

// NotifyConflict implements memberlist.ConflictDelegate.
func (e events) NotifyConflict(existing, other *memberlist.Node) {
	e.r.Conflict()
	e.r.mu.Lock()
	defer e.r.mu.Unlock()
	if !e.r.said[existing.Name] && len(e.r.said) < resolve.EntriesMax {
		e.r.said[existing.Name] = true
		e.r.cfg.Logger.Warn("gossip: two processes have one name; the first one keeps it", "name", existing.Name,
			"first", existing.Address(), "second", other.Address())
	}
}

// meta is what is told of ourselves: the addresses, nonce included.
type meta struct{ addrs string }

// NodeMeta implements memberlist.Delegate.
func (m meta) NodeMeta(int) []byte { return []byte(m.addrs) }

// NotifyMsg implements memberlist.Delegate: nobody sends us any.
func (meta) NotifyMsg([]byte) {}

// GetBroadcasts implements memberlist.Delegate.
func (meta) GetBroadcasts(int, int) [][]byte { return nil }

// LocalState implements memberlist.Delegate.
func (meta) LocalState(bool) []byte { return nil }

// MergeRemoteState implements memberlist.Delegate.
func (meta) MergeRemoteState([]byte, bool) {}

// debug hands memberlist's log on.
type debug struct{ l *slog.Logger }

// Write implements io.Writer.
func (d debug) Write(b []byte) (int, error) {
	d.l.Log(context.Background(), slog.LevelDebug, "gossip: "+string(b))
	return len(b), nil
}
