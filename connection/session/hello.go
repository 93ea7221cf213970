package session

import (
	"bytes"
	"fmt"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/frame"
)

// bannerMax bounds a banner: ten fixed bytes and a payload of at most 64.
const bannerMax = 10 + 64

// stepBanner collects the peer's banner (docs/PROTOCOL.md 1.2) and answers with HELLO.
func (s *Session) stepBanner(b []byte) (int, error) {
	h := s.stream.hs
	// The banner may come in pieces, and HELLO right behind it.
	have := len(h.banner)
	b = b[:min(len(b), bannerMax-have)]
	h.banner = append(h.banner, b...)
	peer, n, err := frame.ParseBanner(h.banner)
	if err != nil {
		return len(b), s.badFrame(fmt.Errorf("%w; what came begins with '%s'", err, firstLine(h.banner)))
	}
	if n == 0 {
		return len(b), nil
	}
	used := n - have
	if err := s.countPreAuth(h.banner[:n]); err != nil {
		return used, err
	}
	h.banner = nil
	mine := s.cfg.banner()
	if err := frame.CheckBanner(mine, peer); err != nil {
		if s.id.established() {
			// A banner has no checksum, and this peer's was good before: its
			// session is not given up for a flipped bit.
			return used, s.badFrame(err)
		}
		// "the connection is closed for good ... (no retry)" (spec 1.2)
		return used, permanent(s.badFrame(err))
	}
	s.noteBanner(mine, peer)
	hello := frame.Hello{EntityType: s.cfg.Self.Type, PeerAddr: s.Target()}
	if s.state == StateBannerConnecting {
		s.state = StateHelloConnecting
	} else {
		s.state = StateHelloAccepting
		hello.PeerAddr = entity.Addr{Type: entity.AddrMsgr2, AddrPort: h.remote}
	}
	s.queueControl(&hello)
	return used, nil
}

// firstLine is the beginning of what a stranger says, for logs: its first line, 32 bytes
// at most, with a dot for each byte that is no letter, digit or sign.
func firstLine(b []byte) string {
	b = bytes.Clone(b[:min(len(b), 32)])
	if i := bytes.IndexAny(b, "\r\n"); i > 0 {
		b = b[:i]
	}
	for i, c := range b {
		if c < ' ' || c > '~' {
			b[i] = '.'
		}
	}
	return string(b)
}

func (s *Session) connectorHello(_ time.Duration, payload []byte) error {
	var f frame.Hello
	if err := s.parse(&f, payload); err != nil {
		return err
	}
	// "peer type must equal expected type else close+reset" (spec 3.3)
	if s.peerType != entity.TypeAny && f.EntityType != s.peerType {
		return permanent(&ProtocolError{State: s.state, Tag: frame.TagHello,
			Err: fmt.Errorf("%w: it is a %s, expected a %s", ErrWrongType, f.EntityType, s.peerType)})
	}
	s.peerType = f.EntityType
	s.env.LearnAddr(f.PeerAddr)
	return s.beginAuth()
}

func (s *Session) acceptorHello(_ time.Duration, payload []byte) error {
	var f frame.Hello
	if err := s.parse(&f, payload); err != nil {
		return err
	}
	if f.EntityType == 0 {
		return s.protocolError(frame.TagHello, "entity type 0")
	}
	s.peerType = f.EntityType
	s.peerNum = -1
	s.policy = s.env.PolicyFor(f.EntityType)
	s.state = StateAuthAccepting
	return nil
}

// stampOf turns monotonic time into the stamp of a KEEPALIVE2.
func (s *Session) stampOf(now time.Duration) frame.Stamp {
	t := s.cfg.Epoch.Add(now)
	return frame.Stamp{Sec: uint32(t.Unix()), Nsec: uint32(t.Nanosecond())}
}

// features offered to the peer.
func (s *Session) supported() uint64 {
	if s.policy.FeaturesSupported != 0 {
		return s.policy.FeaturesSupported
	}
	return msg.FeaturesAll
}

// required is OR-ed with MSG_ADDR2 always (spec 1.9).
func (s *Session) required() uint64 { return s.policy.FeaturesRequired | msg.FeatureMsgAddr2 }
