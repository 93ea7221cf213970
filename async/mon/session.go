package mon

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/mon/wire"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/auth/cephx"
	"github.com/asyncmsgr/asyncmsgr/connection/frame"
)

// session is the session with a monitor. On the worker.
type session struct {
	conn    msg.Connection // nil: there is none
	heard   time.Duration  // when the monitor gave a sign of life
	ack     time.Time      // its last answer to a keepalive
	ping    time.Duration  // when the next keepalive is due
	renewed time.Duration  // since when tickets were asked for; 0: they were not
}

// up begins a session on the connection with monitor number i.
func (c *Client) up(i int, conn msg.Connection, now time.Duration) {
	for _, other := range c.hunt.up(i, now) {
		c.giveUp(other)
	}
	delete(c.calls, i)
	c.refusals = 0
	c.session = session{conn: conn, heard: now, ack: conn.LastKeepaliveAck(), ping: now + c.cfg.KeepaliveInterval}
	c.setOurs()
	known := c.MonMap().Epoch > 0
	c.set(func(s *state) { s.up, s.conn, s.refused = known, conn, nil })
	if !known {
		c.send(wire.GetMap())
	}
	c.subscribe()
}

// subscribe asks for the maps, from the epochs that there are.
func (c *Client) subscribe() {
	subs := []wire.Sub{{What: "monmap"}} // 0: what it has, each time, as a sign that it is of the same cluster
	if c.cfg.OSDMap {
		s := wire.Sub{What: "osdmap"}
		if e := c.OSDMap().Epoch(); e > 0 {
			s.Start = uint64(e) + 1
		}
		subs = append(subs, s)
	}
	c.send(wire.Subscribe(subs, c.cfg.Host))
}

// send sends what is small, and is sent anew on the next session if it is lost.
func (c *Client) send(m *msg.Message) {
	if err := c.session.conn.Send(m); err != nil && !errors.Is(err, msg.ErrClosed) {
		c.cfg.Logger.Warn("mon: cannot send", "mon", c.session.conn.String(), "type", m.Type, "err", err)
	}
}

// lost ends the session, for that reason. another says that another monitor is to be called first.
func (c *Client) lost(reason error, another bool, now time.Duration) {
	c.session.conn.MarkDown()
	c.session = session{}
	c.setOurs()
	c.set(func(s *state) { s.up, s.conn, s.last = false, nil, reason })
	c.hunt.lost(now, another)
	for _, id := range c.asks.lost(errors.Is(reason, frame.ErrTooLarge)) {
		c.finish(id, nil, fmt.Errorf("%w: %w", ErrTooLarge, reason))
	}
}

// watch looks after the session: whether the monitor lives and answers, and whether tickets
// are due.
func (c *Client) watch(now time.Duration) {
	s := &c.session
	if ack := s.conn.LastKeepaliveAck(); ack != s.ack {
		s.ack, s.heard = ack, now
	}
	waits := c.asks.oldest()
	if s.renewed != 0 && (waits == 0 || s.renewed < waits) {
		waits = s.renewed
	}
	switch {
	case s.conn.IsClosed(): // by a MarkDown of somebody else, of which nobody is told
		c.lost(msg.ErrMarkedDown, false, now)
		return
	case now >= s.heard+c.cfg.KeepaliveTimeout:
		c.cfg.Logger.Warn("mon: a monitor gives no sign of life", "mon", s.conn.String())
		c.lost(fmt.Errorf("mon: no sign of life for %v", c.cfg.KeepaliveTimeout), true, now)
		return
	case waits != 0 && now >= waits+c.cfg.AnswerTimeout:
		c.cfg.Logger.Warn("mon: a monitor does not answer", "mon", s.conn.String())
		c.lost(fmt.Errorf("mon: no answer for %v", c.cfg.AnswerTimeout), true, now)
		return
	}
	if now >= s.ping {
		s.ping = now + c.cfg.KeepaliveInterval
		s.conn.SendKeepalive()
	}
	c.renew(now)
}

// renew asks for the tickets that are due.
func (c *Client) renew(now time.Duration) {
	if c.cfg.Cephx == nil {
		return
	}
	fronts, err := c.cfg.Cephx.Renewal()
	if errors.Is(err, cephx.ErrLoginDue) {
		c.lost(err, false, now) // the next session logs in
		return
	}
	if err != nil {
		c.cfg.Logger.Warn("mon: cannot ask for tickets", "err", err)
	}
	for _, front := range fronts {
		c.send(&msg.Message{Type: cephx.TypeMAuth, Version: 1, Front: front})
		if c.session.renewed == 0 {
			c.session.renewed = max(now, 1)
		}
	}
}

// handle takes a message of the monitor.
func (c *Client) handle(m *msg.Message, now time.Duration) {
	if m.Connection() != c.session.conn || c.isClosed() {
		return // of a session that is over: what it answers is asked again
	}
	c.session.heard = now
	var err error
	switch m.Type {
	case msg.TypeMonMap:
		err = c.handleMonMap(m.Front)
	case wire.TypeOSDMap:
		err = c.handleOSDMap(m.Front)
	case cephx.TypeMAuthReply:
		if c.session.renewed = 0; c.cfg.Cephx == nil {
			break
		}
		if err := c.cfg.Cephx.HandleReply(m.Front); err != nil {
			c.cfg.Logger.Warn("mon: tickets are not renewed", "mon", m.Connection().String(), "err", err)
		}
	case msg.TypeMonCommandAck:
		c.answer(m.TID, m)
	case msg.TypeMonGetVersionReply:
		handle, _, _, e := wire.ParseGetVersionReply(m.Front)
		if err = e; err == nil {
			c.answer(handle, m)
		}
	}
	if err != nil && c.session.conn != nil {
		err = fmt.Errorf("%w: type %d: %w", ErrAnswer, m.Type, err)
		c.cfg.Logger.Warn("mon: a monitor is given up", "mon", m.Connection().String(), "err", err)
		c.lost(err, true, now)
	}
}

// handleMonMap takes a monitor map.
func (c *Client) handleMonMap(front []byte) error {
	got, err := wire.ParseMonMap(front)
	if err != nil {
		return err
	}
	old := c.MonMap()
	if old.Epoch > 0 && old.FSID != got.FSID {
		return fmt.Errorf("it is of cluster %s, and this client's is %s", got.FSID, old.FSID)
	}
	if got.Epoch < old.Epoch {
		return nil // a monitor that is behind
	}
	// Those that were configured stay: they may be reachable where those of the map are not.
	known := c.mons
	c.mons = nil
	for _, m := range got.Mons {
		c.addMon(m.Addrs)
	}
	for _, a := range c.cfg.Mons {
		c.addMon(a)
	}
	if len(c.mons) == 0 {
		c.mons = known
	}
	current := slices.IndexFunc(c.mons, func(a entity.AddrVec) bool {
		return a.Contains(c.session.conn.PeerAddrs().Msgr2())
	})
	c.hunt.setMons(len(c.mons), max(current, 0))
	c.set(func(s *state) { s.monMap, s.up = got, true })
	return nil
}

// addMon makes the monitor at a known, unless it is, or cannot be called.
func (c *Client) addMon(a entity.AddrVec) {
	v2 := a.Msgr2()
	known := slices.ContainsFunc(c.mons, func(b entity.AddrVec) bool { return b.Contains(v2) })
	if !v2.IsBlank() && !known && len(c.mons) < monsMax {
		c.mons = append(c.mons, a)
	}
}

// handleOSDMap takes OSD maps.
func (c *Client) handleOSDMap(front []byte) error {
	got, err := wire.ParseOSDMap(front)
	if err != nil {
		return err
	}
	maps, whole, err := c.OSDMap().add(got, c.cfg.MapBytesMax)
	if err != nil {
		c.cfg.Logger.Error("mon: the OSD map is not kept", "err", err)
		c.set(func(s *state) { s.mapErr = err })
		return nil
	}
	c.set(func(s *state) { s.osdMaps, s.mapErr = maps, nil })
	if whole {
		c.subscribe()
	}
	return nil
}
