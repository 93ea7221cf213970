package node

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
)

// now is the clock; it is for ballots and for how long ago something was.
func now() time.Time { return time.Now() }

// Transport carries requests to other nodes.
type Transport interface {
	// Call asks who is at addr and returns the answer; low says that it can wait for what
	// is more urgent. It returns when ctx ends, at the latest. A call to oneself is one.
	Call(ctx context.Context, addr string, typ uint16, low bool, req []byte) ([]byte, error)
}

// Config configures a Node. Name, Addr, Store and Transport are needed.
type Config struct {
	Name entity.Name
	// Addr is where others reach the node.
	Addr string
	// Initial are the nodes that found the cluster together, this one among them or not;
	// the same for all. The one with the lowest name sees to it.
	Initial []entity.Name
	// Seeds returns addresses of nodes that may know the map; it may change.
	Seeds     func() []string
	Store     *Store
	Transport Transport
	// Agreement, nil: among the members.
	Agreement Agreement
	// OnMap, if set, is called with each map that the node takes; it must not call the node.
	OnMap func(*Map)

	// Beat is how often nodes greet each other, 0: 250 ms. A node that has not been heard
	// of for DownAfter counts as gone, 0: 3 s. CallTimeout bounds a request to another
	// node, 0: 1 s; RequestTimeout one of a client, 0: 5 s.
	Beat, DownAfter, CallTimeout, RequestTimeout time.Duration
	// RequestsMax bounds the requests of clients in work, 0: 256. Others get ErrBusy.
	RequestsMax int
	// ScrubEvery is how often a node compares its copies with those of the others, 0: 10
	// min; it does so too when it was cut off, or away.
	ScrubEvery time.Duration
	Logger     *slog.Logger
}

// Node is a node of the store: it keeps copies of objects, serves clients, and has its part
// in what is agreed. Any goroutine may call the methods. Its goroutines (one that greets,
// one that fetches, one for each request under way) end with Close.
type Node struct {
	cfg Config

	life     context.Context
	stop     context.CancelFunc
	wg       sync.WaitGroup
	failed   atomic.Pointer[error]
	behind   atomic.Bool   // it may have missed writes that others have
	requests chan struct{} // a place for each request of a client

	// gate is held for reading by what looks at the map and does what that allows, and for
	// writing while the map changes: what was begun with a map is over when the next one is
	// told of. The map is safe on disk before.
	gate sync.RWMutex
	m    *Map
	news chan struct{} // closed when the map changes

	agree sync.Mutex // guards acc
	acc   acceptance

	mu      sync.Mutex
	seen    map[entity.Name]sight
	synced  uint64
	leaving bool
	said    string // by the one who proposes, last
	pulled  uint64 // objects fetched in recovery
}

// New returns a node that serves requests (Handle), and does nothing else until Start.
func New(cfg Config) *Node {
	cfg.Beat = cmp.Or(cfg.Beat, 250*time.Millisecond)
	cfg.DownAfter = cmp.Or(cfg.DownAfter, 3*time.Second)
	cfg.CallTimeout = cmp.Or(cfg.CallTimeout, time.Second)
	cfg.RequestTimeout = cmp.Or(cfg.RequestTimeout, 5*time.Second)
	cfg.RequestsMax = cmp.Or(cfg.RequestsMax, 256)
	cfg.ScrubEvery = cmp.Or(cfg.ScrubEvery, 10*time.Minute)
	cfg.Logger = cmp.Or(cfg.Logger, slog.Default())
	if cfg.Agreement == nil {
		cfg.Agreement = new(paxos)
	}
	cfg.Initial = slices.Clone(cfg.Initial)
	slices.SortFunc(cfg.Initial, compareNames)
	n := &Node{cfg: cfg, seen: map[entity.Name]sight{}, news: make(chan struct{}),
		m: cfg.Store.last, acc: cfg.Store.acc, requests: make(chan struct{}, cfg.RequestsMax)}
	n.life, n.stop = context.WithCancel(context.Background())
	n.behind.Store(n.m != nil) // it was away
	return n
}

// Start begins to greet and to fetch.
func (n *Node) Start() {
	n.run(n.greetLoop)
	n.run(n.syncLoop)
}

// Close ends the node's goroutines and waits for them; what others ask gets an error.
func (n *Node) Close() {
	n.mu.Lock()
	n.stop()
	n.mu.Unlock()
	n.wg.Wait()
}

// run runs f on a goroutine of the node's. It is for who is one, or within Handle.
func (n *Node) run(f func()) {
	n.wg.Add(1)
	go func() {
		defer n.wg.Done()
		f()
	}()
}

// Failed is why the node cannot go on: its disk does not take what it writes. nil: it can.
func (n *Node) Failed() error {
	if p := n.failed.Load(); p != nil {
		return *p
	}
	return nil
}

// fail notes that the disk failed: the node stops.
func (n *Node) fail(err error) error {
	if n.failed.CompareAndSwap(nil, &err) {
		n.cfg.Logger.Error("node: it stops, since it cannot write what it has to remember", "error", err)
		n.stop()
	}
	return err
}

// Done is closed when the node was closed or has failed.
func (n *Node) Done() <-chan struct{} { return n.life.Done() }

func (n *Node) key() key { return key{n.cfg.Name, n.cfg.Store.inc} }

func (n *Node) self() Member { return Member{n.cfg.Name, n.cfg.Store.inc, n.cfg.Addr} }

// Map is the map that the node has; nil: none yet.
func (n *Node) Map() *Map {
	n.gate.RLock()
	defer n.gate.RUnlock()
	return n.m
}

// mapAndNews is the map, and what is closed when there is another one.
func (n *Node) mapAndNews() (*Map, <-chan struct{}) {
	n.gate.RLock()
	defer n.gate.RUnlock()
	return n.m, n.news
}

// errForeign: two clusters were told of each other.
var errForeign = errors.New("node: of another cluster")

// adopt takes m if it is newer.
func (n *Node) adopt(m *Map) error {
	n.agree.Lock()
	defer n.agree.Unlock()
	if was := n.Map(); m.Epoch <= was.epoch() {
		return nil
	} else if was != nil && was.Cluster != m.Cluster {
		return errForeign
	}
	if err := n.cfg.Store.saveMap(m); err != nil {
		return n.fail(err)
	}
	n.gate.Lock()
	n.m = m
	close(n.news)
	n.news = make(chan struct{})
	n.gate.Unlock()
	if n.cfg.OnMap != nil {
		n.cfg.OnMap(m)
	}
	n.cfg.Logger.Info("node: map", "node", n.cfg.Name, "epoch", m.Epoch, "members", names(m.Members),
		"old", names(m.Old))
	return nil
}

func names(l []Member) (s []string) {
	for _, m := range l {
		s = append(s, fmt.Sprintf("%s/%x", m.Name, m.Inc&0xffff))
	}
	return s
}

// Handle answers a request. It may wait, until ctx or the node ends.
func (n *Node) Handle(ctx context.Context, typ uint16, req []byte) ([]byte, error) {
	n.mu.Lock()
	if n.life.Err() != nil {
		n.mu.Unlock()
		return nil, errors.New("node: closed")
	}
	n.wg.Add(1) // before Close waits
	n.mu.Unlock()
	defer n.wg.Done()
	switch typ {
	case typeHello:
		return n.handleHello(req)
	case typeMap:
		m, err := decodeMap(req)
		if err != nil {
			return nil, err
		}
		return nil, n.adopt(m)
	case typePrepare, typeAccept, typeRead, typeStore, typeScan, typeFetch:
		return n.handleMember(typ, req)
	case typeStatus:
		return json.Marshal(n.Status())
	case typeGet, typePut, typeList:
		return n.handleClient(ctx, typ, req)
	}
	return nil, fmt.Errorf("node: request of type %#x, which there is not", typ)
}

// jitter is d, a quarter more or less.
func jitter(d time.Duration) time.Duration {
	return d - d/4 + rand.N(d/2+1)
}

// sleep waits for d, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
