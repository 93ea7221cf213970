package asynctest

import (
	"fmt"
	"slices"

	"github.com/asyncmsgr/asyncmsgr/async/asynctest/promise"
)

// observe feeds the records of a history to the judges of package promise, and keeps
// what these find, by letter.
func (d *digest) observe() {
	d.found = map[string][]string{}
	find := func(about any, broken []promise.Breach) {
		for _, b := range broken {
			d.found[b.Letter] = append(d.found[b.Letter], fmt.Sprintf("%v: %s", about, b.What))
		}
	}
	for i := range d.h.Records {
		r := &d.h.Records[i]
		c, f := d.conn(r), d.byFlow[r.Flow]
		switch r.Kind {
		case RecSent:
			f.Send()
		case RecEnded:
			if f != nil {
				find(r, f.End(r.Num, r.Err))
			}
			c.Ended(r.Err)
		case RecDelivered:
			if f != nil {
				find(r, f.Arrive(r.Num, promise.Receiver{Life: r.Life, Conn: r.Conn}))
			}
			find(r, c.Deliver(r.Flow.From == r.Flow.To, r.ReceivedAt))
		case RecReady:
			c.Ready(r.Local)
		case RecConnect, RecAccept:
			find(r, c.Told())
		case RecFault:
			find(r, c.Fault())
		case RecFastReset:
			find(r, c.FastReset())
		case RecFastRemoteReset:
			find(r, c.FastRemoteReset())
		case RecRemoteReset:
			find(r, c.RemoteReset())
			d.told(c)
			if d.unlike(c.node, c.peer) {
				for _, f := range d.flows {
					if f.From == c.peer && f.To == c.node {
						f.Forget()
					}
				}
			}
		case RecReset:
			find(r, c.Reset())
			d.told(c)
		case RecMarkDown:
			c.MarkDown()
			d.told(c)
		case RecDown:
			for _, f := range d.flows {
				if f.from.lifeKey == (lifeKey{r.Node, r.Life}) || f.To == r.Node {
					f.Excuse()
				}
			}
		}
	}
	for _, c := range d.conns {
		if d.toTheEnd(c.lifeKey) {
			find(fmt.Sprintf("node %d.%d conn %d", c.node, c.life, c.conn), c.Settle())
		}
	}
	for _, f := range d.flows {
		if d.calling(f.from) {
			f.Excuse()
		}
		switch {
		case f.from.lossy || d.h.IsTainted(f.From, f.To):
		case d.unlike(f.From, f.To): // C4 judges what is lost
			find(f.Flow, f.OnceASession())
		default:
			find(f.Flow, f.ExactlyOnce())
		}
		if !f.from.lossless {
			find(f.Flow, f.Prefix())
		}
		for _, num := range f.Lost() {
			m := f.msg(num)
			what := fmt.Sprintf("it is lost, and neither side was told (end: %v)", m.ended)
			find(m.sent, []promise.Breach{{Letter: "C4", What: what}})
		}
		if n := d.life(f.from.lifeKey); n.end != nil && n.end.Alive && !d.calling(f.from) {
			find(f.Flow, f.Unended())
		}
	}
}

// calling says that a connection called in the end where nobody was any more.
func (d *digest) calling(c *connDigest) bool {
	end := d.life(c.lifeKey).end
	return end != nil && slices.Contains(end.Calling, c.conn)
}

// told excuses what is lost of the flows of a connection, from it or to it: an end of
// it was told.
func (d *digest) told(c *connDigest) {
	for _, f := range d.flows {
		if f.from == c || f.From == c.peer && f.To == c.node {
			f.Excuse()
		}
	}
}
