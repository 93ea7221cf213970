package demo

import (
	"errors"
	"slices"
	"sync"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/live"
)

// page serves the live page.
type page struct {
	server *live.Server

	mu     sync.Mutex // that one action is done at a time
	closed bool       // and none after close
}

var errOver = errors.New("demo: it is over")

// newPage serves it until close.
func newPage(d *demo) (*page, error) {
	p := new(page)
	var err error
	p.server, err = live.Serve(d.cfg.Page, live.Config{
		Title: "demo", Messengers: d.shown, Hosts: d.cfg.PageHosts, Every: d.cfg.PageEvery,
		Cut: true, Actions: p.actions(d), Condition: d.condition,
	})
	return p, err
}

// close ends the page; from then on nobody hurts anything.
func (p *page) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.server.Close()
}

// shown are the messengers that live, and those of clients that are dead: they have a place in the ring.
func (d *demo) shown() []*async.Messenger {
	d.messengersMu.Lock()
	all := slices.Clone(d.messengers)
	d.messengersMu.Unlock()
	for _, c := range d.clients {
		c.mu.Lock()
		if c.dead && !slices.Contains(all, c.m) {
			all = append(all, c.m)
		}
		c.mu.Unlock()
	}
	return all
}

// condition is what was done to a node.
func (d *demo) condition(node string) string {
	if o := named(d.osds, node, (*osd).String); o != nil {
		return o.hurt.condition()
	}
	if c := named(d.clients, node, (*client).String); c != nil && c.isDead() {
		return "killed"
	}
	return ""
}

// named is the one of that name, or nil.
func named[T any](all []*T, name string, nameOf func(*T) string) *T {
	for _, x := range all {
		if nameOf(x) == name {
			return x
		}
	}
	return nil
}

func (o *osd) String() string    { return o.name }
func (c *client) String() string { return c.name }

// actions are what can be done to OSDs and clients.
func (p *page) actions(d *demo) []live.Action {
	stalled := func(o *osd) bool { _, shut := o.hurt.stall.isShut(); return shut }
	unplugged := func(o *osd) bool { return o.hurt.unplugged.Load() }
	alive := func(c *client) bool { return !c.isDead() }
	osds := func(name, label string, offered func(*osd) bool, do func(*osd)) live.Action {
		return act(p, name, label, d.osds, (*osd).String, offered, func(o *osd) error { do(o); return nil })
	}
	clients := func(name, label string, offered func(*client) bool, do func(*client) error) live.Action {
		return act(p, name, label, d.clients, (*client).String, offered, do)
	}
	return []live.Action{
		osds("stall", "Stall", not(stalled), func(o *osd) { o.hurt.stall.shut() }),
		osds("resume", "Resume", stalled, func(o *osd) { o.hurt.stall.open() }),
		osds("unplug", "Unplug", not(unplugged), func(o *osd) { o.hurt.unplug() }),
		osds("plug", "Plug in", unplugged, func(o *osd) { o.hurt.unplugged.Store(false) }),
		clients("kill", "Kill", alive, (*client).kill),
		clients("restart", "Restart", not(alive), (*client).restart),
	}
}

func not[T any](f func(*T) bool) func(*T) bool { return func(x *T) bool { return !f(x) } }

// act is an action on one of all.
func act[T any](
	p *page, name, label string, all []*T, nameOf func(*T) string, offered func(*T) bool, do func(*T) error,
) live.Action {
	return live.Action{
		Name: name, Label: label,
		For: func(node string) bool {
			x := named(all, node, nameOf)
			return x != nil && offered(x)
		},
		Do: func(node string) error {
			p.mu.Lock()
			defer p.mu.Unlock()
			if p.closed {
				return errOver
			}
			return do(named(all, node, nameOf))
		},
	}
}
