package demo

import (
	"context"
	"errors"
	"fmt"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
)

var errDead = errors.New("demo: it is dead already")
var errAlive = errors.New("demo: it is alive")

// stale says whether a message is of a client's life that was ended: what is still on its way then
// is not done any more, so that what is stored stays as it was found when the client was killed.
func (d *demo) stale(from entity.Name, epoch uint64) bool {
	return from.Type == entity.TypeClient && from.Num >= 0 && from.Num < int64(len(d.lives)) &&
		epoch < d.lives[from.Num].Load()
}

func (c *client) isDead() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.dead
}

// kill ends the client as kill -9 ends a process, as far as others can tell: its operations are
// forgotten, its sessions end without a word, and nothing of what was under way is promised any
// more. What it had written and the primaries have is acknowledged: it will find that.
func (c *client) kill() error {
	d := c.d
	c.mu.Lock()
	if c.dead {
		c.mu.Unlock()
		return errDead
	}
	m := c.m
	c.dead, c.ops, c.writing = true, nil, [objectsPerClient]bool{}
	c.mu.Unlock()

	life := d.lives[c.id].Add(1) - 1
	d.oracle.Killed(c.name, life)
	ctx, cancel := context.WithTimeout(context.Background(), shutdownMax)
	defer cancel()
	if err := m.Shutdown(ctx); err != nil {
		return fmt.Errorf("demo: %s: %w", c.name, err)
	}
	d.left(m)
	for _, o := range d.osds {
		o.forget(c.name, life)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for k := range c.gens {
		object := c.first + uint32(k)
		o := d.osds[d.primaryOf(object)]
		o.mu.Lock()
		c.gens[k] = o.objects[object].gen
		o.mu.Unlock()
		d.acked[object].Store(c.gens[k])
	}
	return nil
}

// restart begins another life.
func (c *client) restart() error {
	if !c.isDead() {
		return errAlive
	}
	if err := c.live(); err != nil {
		return err
	}
	c.d.restarts.Add(1)
	c.begin()
	return nil
}

// forget ends the sessions of a life of a client, which would wait for it for ever.
func (o *osd) forget(client string, life uint64) {
	for c, s := range o.pub.ConnectionStats() {
		p, ok := c.Value().(*peer)
		if s.Peer.String() == client && (!ok || p.back.out.key.epoch == life) {
			c.MarkDown()
		}
	}
}
