package node

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/bench/node/history"
	"github.com/stretchr/testify/require"
)

var (
	simSeeds = flag.Int("sim-seeds", 10, "how many seeds TestSimulation tries")
	simFirst = flag.Uint64("sim-first", 1, "the first of them")
	simLog   = flag.Bool("sim-log", false, "print what nodes log")
)

// world is a network of nodes in the virtual time of a synctest bubble. What is random
// comes from the seed; in which order goroutines run does not.
type world struct {
	t       *testing.T
	disks   bool // nodes come back with what they had
	nodes   []*simNode
	initial []entity.Name

	mu    sync.Mutex
	rng   *rand.Rand
	apart map[[2]int]bool // pairs that do not reach each other, the lower first
}

// simNode is a place at which a node runs, or not.
type simNode struct {
	w     *world
	i     int
	up    bool
	node  *Node
	store *Store
	life  context.Context // of the process
	kill  context.CancelFunc
}

func addrOf(i int) string { return fmt.Sprintf("10.0.0.%d:7000", i) }

func newWorld(t *testing.T, seed uint64, n int, disks bool) *world {
	w := &world{t: t, disks: disks, rng: rand.New(rand.NewPCG(seed, 1)), apart: map[[2]int]bool{}}
	for i := range 3 {
		w.initial = append(w.initial, entity.OSD(int64(i)))
	}
	for i := range n {
		w.nodes = append(w.nodes, &simNode{w: w, i: i})
	}
	for i := range n {
		w.start(i)
	}
	return w
}

// chance is a number from 0 to n-1.
func (w *world) chance(n int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.rng.IntN(n)
}

func (w *world) start(i int) {
	x := w.nodes[i]
	w.mu.Lock()
	inc := w.rng.Uint64() | 1
	w.mu.Unlock()
	if x.store == nil || !w.disks {
		var err error
		x.store, err = OpenStore("", inc, 0, nil)
		require.NoError(w.t, err)
	}
	logger := slog.New(slog.DiscardHandler)
	if *simLog {
		logger = slog.Default()
	}
	node := New(Config{Name: entity.OSD(int64(i)), Addr: addrOf(i), Initial: w.initial, Store: x.store,
		Seeds:     func() []string { return []string{addrOf(0), addrOf(1), addrOf(2)} },
		Transport: from{w, i}, Logger: logger})
	w.mu.Lock()
	x.node, x.up = node, true
	x.life, x.kill = context.WithCancel(context.Background())
	w.mu.Unlock()
	node.Start()
}

// crash ends a process; nobody is told.
func (w *world) crash(i int) {
	w.mu.Lock()
	x := w.nodes[i]
	x.up = false
	node := x.node
	w.mu.Unlock()
	x.kill()
	node.Close()
}

// from is the network as seen by a node, or by a client (-1 and below), who is with node 0
// and so on where there is a partition.
type from struct {
	w *world
	i int
}

var errGone = errors.New("nobody is there")

func (f from) reach(to int) bool {
	f.w.mu.Lock()
	defer f.w.mu.Unlock()
	me := f.i
	if me < 0 {
		me = -1 - me
	}
	return !f.w.apart[[2]int{min(me, to), max(me, to)}]
}

// travel takes a while, and for ever between those who are apart.
func (f from) travel(ctx context.Context, to int) error {
	d := time.Duration(f.w.chance(5000)) * time.Microsecond
	if f.w.chance(50) == 0 {
		d *= 100
	}
	sleep(ctx, d)
	for !f.reach(to) && ctx.Err() == nil {
		sleep(ctx, 100*time.Millisecond) // it is sent again
	}
	return ctx.Err()
}

// Call implements Transport. A request whose caller has given up may arrive all the same.
func (f from) Call(ctx context.Context, addr string, typ uint16, _ bool, req []byte) ([]byte, error) {
	to := slices.IndexFunc(f.w.nodes, func(n *simNode) bool { return addrOf(n.i) == addr })
	type answer struct {
		b   []byte
		err error
	}
	done := make(chan answer, 1)
	f.w.mu.Lock()
	lost, late := f.w.rng.IntN(200) == 0, f.w.rng.IntN(20) == 0
	life, up := f.w.nodes[to].life, f.w.nodes[to].up
	f.w.mu.Unlock()
	go func() {
		there := ctx
		if late {
			c, cancel := context.WithTimeout(context.Background(), 3*time.Second)
			defer cancel()
			there = c
		}
		if err := f.travel(there, to); err != nil {
			done <- answer{nil, err}
			return
		}
		f.w.mu.Lock()
		x := f.w.nodes[to]
		node := x.node
		up = up && x.up && x.life == life && life != nil // a connection does not survive the process
		f.w.mu.Unlock()
		if !up || node == nil {
			done <- answer{nil, errGone}
			return
		}
		hctx, cancel := context.WithCancel(there)
		defer cancel()
		defer context.AfterFunc(life, cancel)()
		b, err := node.Handle(hctx, typ, slices.Clone(req))
		if life.Err() != nil {
			b, err = nil, errGone
		}
		if terr := f.travel(there, to); terr != nil {
			err = terr
		}
		if lost {
			return
		}
		done <- answer{b, err}
	}()
	select {
	case a := <-done:
		return a.b, a.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// healthy says whether all nodes are members of one map that is settled.
func (w *world) healthy(want int) bool {
	epoch := uint64(0)
	for _, x := range w.nodes {
		if !x.up {
			continue
		}
		s := x.node.Status()
		if s.Joint || len(s.Members) != want || !s.Ready() || epoch != 0 && s.Epoch != epoch {
			return false
		}
		epoch = s.Epoch
	}
	return true
}

// until waits, in virtual time.
func (w *world) until(what string, cond func() bool) {
	w.t.Helper()
	for range 2400 {
		if cond() {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	for _, x := range w.nodes {
		w.t.Logf("node %d up %t: %+v", x.i, x.up, x.node.Status())
	}
	w.t.Fatalf("two minutes without: %s", what)
}

// work is a client who writes and reads until ctx ends, and enters it in h.
func (w *world) work(ctx context.Context, id int, h *history.History) {
	c := Client{Transport: from{w, -1 - id%len(w.nodes)}}
	for i := range w.nodes {
		c.Addrs = append(c.Addrs, addrOf((i+id)%len(w.nodes)))
	}
	for n := 0; ctx.Err() == nil; n++ {
		k := fmt.Sprintf("key%d", w.chance(8))
		once, cancel := context.WithTimeout(context.Background(), 4*time.Second)
		op := history.Op{Key: k, By: fmt.Sprintf("client %d", id), Begin: h.Begin(), Write: w.chance(2) == 0}
		if op.Write {
			op.Value = fmt.Sprintf("%d-%d", id, n)
			v, err := c.Put(once, k, []byte(op.Value))
			op.Version = history.Version(v)
			if v != (Version{}) {
				h.Done(op, err == nil)
			}
		} else if o, err := c.Get(once, k); err == nil || errors.Is(err, ErrNotFound) {
			op.Version, op.Value = history.Version(o.Version), string(o.Value)
			h.Done(op, true)
		}
		cancel()
		sleep(ctx, time.Duration(w.chance(50))*time.Millisecond)
	}
}

// trouble breaks things for a while. Memory alone dies one at a time, when all is well.
func (w *world) trouble(steps int) (did []string) {
	note := func(format string, args ...any) { did = append(did, fmt.Sprintf(format, args...)) }
	split := func(side func(i int) bool) {
		w.mu.Lock()
		defer w.mu.Unlock()
		for i := range w.nodes {
			for j := range i {
				w.apart[[2]int{j, i}] = side(i) != side(j)
			}
		}
	}
	heal := func() { split(func(int) bool { return true }) }
	calm := func() {
		heal()
		for i, x := range w.nodes {
			if !x.up {
				w.start(i)
			}
		}
		w.until("all is well again", func() bool { return w.healthy(len(w.nodes)) })
	}
	for range steps {
		i := w.chance(len(w.nodes))
		switch w.chance(5) {
		case 0, 1: // a process dies, and comes back after a while, or at once
			if !w.disks {
				calm()
			}
			if w.nodes[i].up {
				note("crash %d", i)
				w.crash(i)
				time.Sleep(time.Duration(w.chance(8000)) * time.Millisecond)
			}
			if !w.disks || w.chance(2) == 0 {
				calm()
				note("calm")
			}
		case 2: // one is alone
			note("cut off %d", i)
			split(func(j int) bool { return j == i })
			time.Sleep(time.Duration(w.chance(10000)) * time.Millisecond)
		case 3: // two and the rest
			j := (i + 1 + w.chance(len(w.nodes)-1)) % len(w.nodes)
			note("cut off %d and %d", i, j)
			split(func(k int) bool { return k == i || k == j })
			time.Sleep(time.Duration(w.chance(10000)) * time.Millisecond)
		case 4:
			note("heal")
			heal()
			time.Sleep(time.Duration(w.chance(3000)) * time.Millisecond)
		}
	}
	note("calm")
	calm()
	return did
}

// TestSimulation: whatever happens to nodes and network, clients see each object as if one
// machine had it.
func TestSimulation(t *testing.T) {
	seeds := *simSeeds
	if testing.Short() {
		seeds = min(seeds, 2)
	}
	for i := range seeds {
		seed := *simFirst + uint64(i)
		disks := seed%2 == 0
		t.Run(fmt.Sprintf("seed=%d,disks=%t", seed, disks), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, seed, 5, disks)
				defer func() {
					for i, x := range w.nodes {
						if x.up {
							w.crash(i)
						}
					}
					time.Sleep(time.Minute) // what is on its way has its end
				}()
				w.until("the cluster", func() bool { return w.healthy(5) })
				var h history.History
				ctx, cancel := context.WithCancel(t.Context())
				var wg sync.WaitGroup
				for id := range 6 {
					wg.Go(func() { w.work(ctx, id, &h) })
				}
				did := w.trouble(12)
				time.Sleep(2 * time.Second)
				cancel()
				wg.Wait()
				writes, reads := h.Count()
				for _, b := range h.Check() {
					t.Errorf("%s", b.What)
				}
				if t.Failed() {
					t.Logf("%v", did)
				}
				require.Greater(t, writes, 50)
				require.Greater(t, reads, 50)
			})
		})
	}
}
