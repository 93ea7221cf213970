package demo

import (
	"net/http"
	"sync"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/live"
)

// headMax is how long a client of the page may take to say what it wants.
const headMax = 10 * time.Second

// page serves the live page.
type page struct {
	handler *live.Handler
	server  *http.Server
	ended   sync.WaitGroup
}

// newPage serves it until close.
func newPage(d *demo) (*page, error) {
	h, err := live.New(live.Config{
		Title: "demo", Messengers: func() []*async.Messenger { return d.messengers }, Hosts: d.cfg.PageHosts,
		Cut: true, Actions: d.actions(), Every: d.cfg.PageEvery,
		Condition: func(node string) string {
			if o := d.osdNamed(node); o != nil {
				return o.hurt.condition()
			}
			return ""
		},
	})
	if err != nil {
		return nil, err
	}
	p := &page{handler: h, server: &http.Server{Handler: h, ReadHeaderTimeout: headMax}}
	p.ended.Go(func() { _ = p.server.Serve(d.cfg.Page) }) // the error says that it is closed
	return p, nil
}

func (p *page) close() {
	p.handler.Close()
	_ = p.server.Close() // of a listener that may be closed already
	p.ended.Wait()
}

func (d *demo) osdNamed(name string) *osd {
	for _, o := range d.osds {
		if o.name == name {
			return o
		}
	}
	return nil
}

// actions are what can be done to an OSD.
func (d *demo) actions() []live.Action {
	of := func(name, label string, offered func(*hurt) bool, do func(*hurt)) live.Action {
		return live.Action{
			Name: name, Label: label,
			For: func(node string) bool {
				o := d.osdNamed(node)
				return o != nil && offered(o.hurt)
			},
			Do: func(node string) error {
				do(d.osdNamed(node).hurt)
				return nil
			},
		}
	}
	stalled := func(h *hurt) bool { _, shut := h.stall.isShut(); return shut }
	return []live.Action{
		of("stall", "Stall", func(h *hurt) bool { return !stalled(h) }, func(h *hurt) { h.stall.shut() }),
		of("resume", "Resume", stalled, func(h *hurt) { h.stall.open() }),
		of("unplug", "Unplug", func(h *hurt) bool { return !h.unplugged.Load() }, (*hurt).unplug),
		of("plug", "Plug in", func(h *hurt) bool { return h.unplugged.Load() },
			func(h *hurt) { h.unplugged.Store(false) }),
	}
}
