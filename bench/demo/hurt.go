package demo

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/asynctest/faultkit"
)

// hurtMax is how long an OSD stays stalled or unplugged, unless somebody ends it before: clients
// do not wait for ever.
const hurtMax = 30 * time.Second

// stallWidth is how many callbacks of a messenger run at a time where OSDs may be stalled: those
// that are held up keep a goroutine of the pool that all share.
const stallWidth = 1

// hurt is what is done to an OSD on purpose, by the page. It stays alive: what it knows and has
// promised is there when it is over. Any goroutine.
type hurt struct {
	stall gate
	// The OSD's own wire: unplugged, its transports are cut, and new ones at once. nil: it has none.
	wire      *faultkit.CutStack
	unplugged atomic.Bool
	plugAt    atomic.Int64 // unix ns; the latest
}

func newHurt(d *demo) *hurt {
	h := new(hurt)
	if d.cfg.Page != nil {
		h.wire = faultkit.NewCutStack(d.stack.Stack(), faultkit.CutConfig{
			Plan: func(bool) (faultkit.Cut, bool) { return faultkit.Cut{}, h.unplugged.Load() },
		})
	}
	return h
}

// configure has a messenger of the OSD be one that can be hurt.
func (h *hurt) configure(cfg *async.Config) {
	if h.wire != nil {
		cfg.Stack = h.wire.Stack()
		cfg.DispatchWidth, cfg.DispatchWidthMax = stallWidth, stallWidth
	}
}

func (h *hurt) unplug() {
	h.plugAt.Store(time.Now().Add(hurtMax).UnixNano())
	h.unplugged.Store(true)
	h.wire.ArmAll(faultkit.Cut{})
}

// heal ends all that is done. An OSD that is not hurt is left alone.
func (h *hurt) heal() {
	h.unplugged.Store(false)
	h.stall.open()
}

// healLate ends what has lasted for hurtMax.
func (h *hurt) healLate() {
	now := time.Now()
	if h.unplugged.Load() && now.UnixNano() >= h.plugAt.Load() {
		h.unplugged.Store(false)
	}
	if since, shut := h.stall.isShut(); shut && now.Sub(since) >= hurtMax {
		h.stall.open()
	}
}

// condition is what the page says of it.
func (h *hurt) condition() string {
	_, stalled := h.stall.isShut()
	switch unplugged := h.unplugged.Load(); {
	case stalled && unplugged:
		return "stalled, unplugged"
	case stalled:
		return "stalled"
	case unplugged:
		return "unplugged"
	}
	return ""
}

// gate holds up who passes while it is shut. The zero value is open.
type gate struct {
	mu     sync.Mutex
	opened chan struct{} // nil: it is open
	since  time.Time
}

func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.opened == nil {
		g.opened, g.since = make(chan struct{}), time.Now()
	}
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.opened != nil {
		close(g.opened)
		g.opened = nil
	}
}

func (g *gate) isShut() (since time.Time, shut bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.since, g.opened != nil
}

func (g *gate) pass() {
	g.mu.Lock()
	opened := g.opened
	g.mu.Unlock()
	if opened != nil {
		<-opened
	}
}
