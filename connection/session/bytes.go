package session

import (
	"time"

	"github.com/asyncmsgr/asyncmsgr/connection/frame"
)

// HandleBytes takes received bytes and returns how many it consumed. Fewer than
// all means that the session is paused (see Paused) or that the transport is
// gone: in the first case the shell keeps the rest and gives it again later.
func (s *Session) HandleBytes(now time.Duration, b []byte) int {
	if len(b) > 0 {
		s.ka.alive = now
	}
	total := 0
	for (len(b) > 0 || s.stream.again) && s.stream.up && !s.stream.paused {
		n, err := s.stepMessage(now, b)
		if n == 0 && err == nil {
			n, err = s.step(now, b)
		}
		total += n
		b = b[n:]
		if err != nil {
			s.fault(now, err)
			break
		}
	}
	return total
}

// Paused says that the session takes no bytes at the moment: it waits for the
// gate, or for the answer to OutArbitrate.
func (s *Session) Paused() bool { return s.stream.paused }

// ReadInto is where the rest of a large payload should be received, or nil.
func (s *Session) ReadInto() []byte {
	if s.state != StateReady || s.stream.paused {
		return nil
	}
	return s.stream.dec.ReadInto()
}

// HandleDirect tells that n bytes were received into ReadInto's slice.
func (s *Session) HandleDirect(now time.Duration, n int) {
	s.ka.alive = now
	ev, err := s.stream.dec.DidRead(n)
	if err == nil {
		err = s.handleEvent(now, ev)
	} else {
		err = s.badFrame(err)
	}
	if err != nil {
		s.fault(now, err)
	}
}

// step consumes up to one frame event's worth of bytes.
func (s *Session) step(now time.Duration, b []byte) (int, error) {
	if s.state == StateBannerConnecting || s.state == StateBannerAccepting {
		return s.stepBanner(b)
	}
	n, ev, err := s.stream.dec.Next(b)
	// A frame may be complete with its preamble: WAIT, and in secure mode all
	// short ones.
	s.stream.again = ev == frame.GotPreamble
	if s.stream.hs != nil {
		if e := s.countPreAuth(b[:n]); e != nil {
			return n, e
		}
	}
	if err != nil {
		return n, s.badFrame(err)
	}
	return n, s.handleEvent(now, ev)
}

func (s *Session) badFrame(err error) error {
	return &ProtocolError{State: s.state, Err: err}
}

// countPreAuth bounds what a peer may send before it is authenticated, and
// records it for the signature.
func (s *Session) countPreAuth(p []byte) error {
	h := s.stream.hs
	h.rxBytes += len(p)
	if phases[s.state]&beforeAuth != 0 && h.rxBytes > s.cfg.PreAuthBytes {
		return &ProtocolError{State: s.state, Err: ErrPreAuthLimit}
	}
	if h.recRx {
		h.rxLog = append(h.rxLog, p...)
	}
	return nil
}

func (s *Session) handleEvent(now time.Duration, ev frame.Event) error {
	switch ev {
	case frame.GotPreamble:
		return s.handlePreamble()
	case frame.GotFrame:
		var err error
		if s.stream.dec.Preamble().Tag == frame.TagMessage {
			if s.stream.dec.Compressed() {
				err = s.handlePacked(now)
			} else {
				err = s.handleMessage(now)
			}
		} else {
			err = s.handleControl(now)
		}
		if err == nil {
			err = s.openedEnough()
		}
		return err
	}
	return nil
}

// handlePreamble refuses a frame before any of its payload is read: a tag that
// has no place in this state, or a message for which there is no room yet.
func (s *Session) handlePreamble() error {
	p := s.stream.dec.Preamble()
	if !Allowed(s.state, p.Tag) {
		return s.protocolError(p.Tag, "frame not allowed in this state")
	}
	if p.Tag == frame.TagMessage {
		s.admitMessage()
	}
	return nil
}

func (s *Session) handleControl(now time.Duration) error {
	tag := s.stream.dec.Preamble().Tag
	if s.cfg.Observe != nil {
		s.cfg.Observe(s.state, tag)
	}
	if s.state == StateReady {
		s.id.crossed = 0 // a frame within the session: the peer knows it
	}
	if s.stream.dec.Aborted() {
		return s.protocolError(tag, "control frame aborted")
	}
	return transitions[s.state][tag](s, now, s.stream.dec.Payload())
}

// parse decodes a control payload.
func (s *Session) parse(c interface {
	frame.Control
	Parse([]byte) error
}, payload []byte) error {
	if err := c.Parse(payload); err != nil {
		return &ProtocolError{State: s.state, Tag: c.Tag(), Err: err}
	}
	return nil
}

// WantsWrite says whether Fill has something to produce.
func (s *Session) WantsWrite() bool {
	if !s.stream.up {
		return false
	}
	if s.stream.hs != nil && len(s.stream.hs.tx) > 0 {
		return true
	}
	return s.state == StateReady &&
		(s.ka.want || s.ka.reply || s.OwesAck() && !s.acks.held || s.box.queue.n > 0 || s.box.resend < s.box.sent.len())
}
