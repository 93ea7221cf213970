package demo

import (
	"sync"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// pollsMax is how many polls the manager has in flight to one OSD.
const pollsMax = 8

// manager polls the OSDs over lossy sessions. When one breaks it is told so,
// once, and connects again; what was in flight is gone.
type manager struct {
	d    *demo
	m    *async.Messenger
	name string

	mu        sync.Mutex
	polls     []*polled // by OSD
	epoch     uint64
	resets    uint64
	discarded uint64 // polls whose answer did not come before the end of the session
	lastTID   uint64
}

// polled is the present session with one OSD.
type polled struct {
	id       int
	link     *link
	inFlight int
	last     uint64 // TID answered last
	over     bool
}

func newManager(d *demo) (*manager, error) {
	g := &manager{d: d, name: entity.Mgr(0).String(), polls: make([]*polled, d.cfg.OSDs)}
	var err error
	if g.m, err = d.messenger(entity.Mgr(0), nil); err != nil {
		return nil, err
	}
	g.m.SetDefaultPolicy(msg.LossyClient())
	g.m.AddDispatcherTail(g)
	if err := g.m.Start(); err != nil {
		return nil, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, o := range d.osds {
		if err := g.connectLocked(o.id); err != nil {
			return nil, err
		}
	}
	return g, nil
}

func (g *manager) connectLocked(id int) error {
	c, err := g.m.ConnectTo(entity.TypeOSD, g.d.osds[id].pub.Addrs())
	if err != nil {
		return err
	}
	if _, known := c.Value().(*polled); known {
		g.d.oracle.Failed("%s: ConnectTo returned the connection that was reset: %v", g.name, c)
		return nil
	}
	g.epoch++
	p := &polled{id: id,
		link: &link{conn: c, out: g.d.oracle.Stream(g.name, g.d.osds[id].name, "public", g.epoch, true)}}
	c.SetValue(p)
	g.polls[id] = p
	return nil
}

// poll asks every OSD.
func (g *manager) poll() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, p := range g.polls {
		if p.over || p.inFlight >= pollsMax {
			continue
		}
		g.lastTID++
		m := newMessage(typePoll, prioNormal, g.lastTID, payload{Gen: uint64(g.d.now())}, nil, nil)
		m.Notify = pollNotify{g}
		g.d.notifies.Add(1)
		if p.link.send(m) != nil { // it is over: HandleReset is on its way
			g.d.notifies.Add(-1)
			m.Release()
			continue
		}
		p.inFlight++
	}
}

// pollNotify checks that every sending ends, well or not.
type pollNotify struct{ g *manager }

func (n pollNotify) MessageSent(msg.Connection, *msg.Message, error) { n.g.d.notifies.Add(-1) }

// Dispatch implements msg.Dispatcher.
func (g *manager) Dispatch(m *msg.Message) bool {
	d := g.d
	p, err := decode(m)
	if err != nil {
		d.oracle.Failed("%s: %v from %s", g.name, err, m.Source())
		return true
	}
	d.oracle.Stream(m.Source().String(), g.name, "public", p.Epoch, true).Received(m.Connection(), m.Priority, p.Seq)
	g.mu.Lock()
	x := m.Connection().Value().(*polled)
	if x.over || m.TID <= x.last {
		d.oracle.Failed("%s: answer to poll %d after %d, session over: %t", g.name, m.TID, x.last, x.over)
	}
	x.last = m.TID
	x.inFlight--
	g.mu.Unlock()
	d.meters[poll].add(d.now()-time.Duration(p.Gen), m.PayloadLen())
	m.Release()
	return true
}

// HandleReset implements msg.ResetHandler.
func (g *manager) HandleReset(c msg.Connection, _ error) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	p := c.Value().(*polled)
	if p.over {
		g.d.oracle.Failed("%s: second reset of %v", g.name, c)
		return true
	}
	p.over = true
	g.resets++
	g.discarded += uint64(p.inFlight)
	if err := g.connectLocked(p.id); err != nil && !g.d.draining.Load() && !g.d.closing.Load() {
		g.d.oracle.Failed("%s: connect again: %v", g.name, err)
	}
	return true
}

// outstanding is the number of polls without an answer in present sessions.
func (g *manager) outstanding() (n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, p := range g.polls {
		n += p.inFlight
	}
	return n
}

func (g *manager) counts() (resets, discarded uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.resets, g.discarded
}
