package asynctest

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/eventloop/simnet"
)

// scenarioRun is a scenario being run.
type scenarioRun struct {
	s       *Scenario
	c       *Cluster
	log     []string
	wait    *wait // of the last step; nil: it is done
	dials   map[[2]string]int
	holds   map[[2]int][]*simnet.Fault
	busy    map[[2]int]time.Duration // for how long a dispatcher is, for each message of a peer
	traffic []*traffic               // that goes on
	flows   uint64                   // traffic lines so far
	sent    int                      // by traffic
	unsent  int                      // it could not be
	faults  randomFaults
}

func newScenarioRun(s *Scenario) *scenarioRun {
	return &scenarioRun{s: s, dials: map[[2]string]int{}, holds: map[[2]int][]*simnet.Fault{},
		busy: map[[2]int]time.Duration{}}
}

func (r *scenarioRun) start(tb TB, options func(*Options)) {
	plans := r.s.nodes
	if len(plans) == 0 {
		tb.Fatalf("%s: a scenario needs nodes", r.s.Name)
	}
	opt := Options{
		Seed: r.s.Seed, N: len(plans), Name: osdName, History: true,
		Network:   simnet.Config{Link: r.s.links.config()},
		Client:    func(i int) bool { return plans[i].client },
		Same:      func(i int) bool { return plans[i].same },
		WorkersOf: func(i int) int { return plans[i].workers },
		Config: func(i int, cfg *async.Config) {
			cfg.KeepaliveInterval = plans[i].keepalive
			cfg.DispatchThrottleBytes = int64(plans[i].throttle)
			if a := plans[i].compress; a != "" {
				cfg.Compression = async.Compression{Algorithms: []string{a}, MinSize: 200}
			}
		},
		Setup: func(n *Node) { n.SetDefaultPolicy(plans[n.Index].policy) }, Blocking: true,
		Dispatch: func(n *Node, m *msg.Message) {
			from := r.c.byName[m.Source()]
			m.Release()
			if d := r.busy[[2]int{n.Index, from}]; d > 0 {
				n.Sleep(d)
			}
		},
	}
	if options != nil {
		options(&opt)
	}
	r.c = NewCluster(tb, opt)
	r.c.History.Lossless = true
	r.c.Net.Add("dials", func(p *simnet.Packet) simnet.Verdict {
		if p.Kind == simnet.Syn {
			r.dials[[2]string{p.From, p.To}]++
		}
		return simnet.Pass()
	})
}

func (r *scenarioRun) name(i int) string { return r.s.nodes[i].name }
func (r *scenarioRun) host(i int) string { return r.c.Nodes[i].Host.Name() }

func (r *scenarioRun) logf(format string, args ...any) {
	r.log = append(r.log, fmt.Sprintf("%-12v ", r.c.Net.Now())+fmt.Sprintf(format, args...))
}

// conn is the connection of a with b, or nil.
func (r *scenarioRun) conn(a, b int) msg.Connection {
	conn := r.c.Nodes[a].Lookup(r.c.Nodes[b].Addrs())
	if conn == nil {
		return nil
	}
	return conn
}

func (r *scenarioRun) stop(a int, how func(int)) error {
	if r.c.Nodes[a].Down {
		return errors.New("it is down already")
	}
	how(a)
	return nil
}

func (r *scenarioRun) send(a, b, n, size int, prio uint8) error {
	if r.c.Nodes[a].Down {
		return errors.New("it is down")
	}
	for range n {
		var err error
		if conn := r.conn(a, b); conn != nil {
			err = r.c.SendOn(conn, a, b, size, prio)
		} else {
			err = r.c.Send(a, b, size, prio)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// expectation is something countable that a scenario expects.
type expectation struct {
	what  string
	count func(r *scenarioRun) int
	want  int
	least bool // want is the least
}

func (e *expectation) holds(r *scenarioRun) bool {
	n := e.count(r)
	return n == e.want || e.least && n > e.want
}

// parseExpectation reads what follows expect and until.
func parseExpectation(p *scenarioParser) (e *expectation, err error) {
	w, err := p.next("what")
	if err != nil {
		return nil, err
	}
	e = &expectation{what: w.text, want: 1, least: true}
	a, b := 0, 0
	switch w.text {
	case "delivered", "connected", "dials":
		a, b, err = p.two()
	default:
		a, err = p.node()
	}
	if err != nil {
		return nil, err
	}
	if len(p.words) > 0 {
		if e.want, err = p.number("how many"); err != nil {
			return nil, err
		}
		e.least = false
	}
	switch w.text {
	case "delivered":
		e.count = func(r *scenarioRun) (n int) {
			for _, acc := range r.c.ledger.order {
				if acc.From == a && acc.To == b {
					n += int(acc.Arrived)
				}
			}
			return n
		}
	case "connected":
		e.count = func(r *scenarioRun) int {
			if conn := r.conn(a, b); conn != nil && conn.IsConnected() {
				return 1
			}
			return 0
		}
	case "dials":
		e.count = func(r *scenarioRun) int { return r.dials[[2]string{r.host(a), r.host(b)}] }
	case "connect", "accept", "reset", "remote_reset", "refused":
		kind := strings.ReplaceAll(w.text, "_", " ")
		e.count = func(r *scenarioRun) int { return r.c.Nodes[a].Count(kind) }
	case "faults", "received", "sent", "replayed", "compressed", "decompressed":
		e.count = func(r *scenarioRun) int {
			s := r.c.Nodes[a].Stats()
			return int(map[string]uint64{"faults": s.Faults, "received": s.Received, "sent": s.Sent,
				"replayed": s.Replayed, "compressed": s.Compressed, "decompressed": s.Decompressed}[w.text])
		}
	default:
		return nil, w.errorf("unknown expectation %q", w.text)
	}
	return e, nil
}

func parseExpect(p *scenarioParser) (func(*scenarioRun) error, error) {
	e, err := parseExpectation(p)
	return func(r *scenarioRun) error {
		if n := e.count(r); !e.holds(r) {
			return fmt.Errorf("it is %d", n)
		}
		return nil
	}, err
}
