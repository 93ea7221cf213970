package session

import (
	"fmt"
	"slices"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/compress"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
	"github.com/asyncmsgr/asyncmsgr/connection/frame"
)

// Compression says what is compressed on the wire, and with whom. The zero value: nothing.
type Compression struct {
	// Algorithms are those that this side offers, or takes of what it is offered, the preferred
	// one first. Empty: compression is not offered, and the fields below mean nothing.
	Algorithms []compress.Algorithm
	// MinSize is how long a frame's segments must be together to be compressed, in bytes; 0
	// means 1024.
	MinSize int
	// PeerTypes are the types of peers with which it is used; empty: all.
	PeerTypes []entity.Type
	// WithSecure uses it in secure mode too. How well a message is compressed shows in its
	// length: who can have his own text put beside a secret in one message can guess at it.
	WithSecure bool
}

// compressMinSize is the default of Compression.MinSize, as it is Ceph's.
const compressMinSize = 1 << 10

// banner is this side's: compression is offered where it is configured. Which peers get it is
// said later, since an accepted one's type is not known yet.
func (c *Config) banner() frame.Banner {
	b := frame.Banner{Supported: frame.FeatureRevision1, Required: frame.FeatureRevision1}
	if len(c.Compression.Algorithms) > 0 {
		b.Supported |= frame.FeatureCompression
	}
	return b
}

// mayCompress says why the peer gets no compression, whatever it can do: "" if it may.
func (s *Session) mayCompress() string {
	c := &s.cfg.Compression
	switch {
	case len(c.PeerTypes) > 0 && !slices.Contains(c.PeerTypes, s.peerType):
		return fmt.Sprintf("it is not configured for peers of type %s", s.peerType)
	case s.authed != nil && s.authed.Mode == auth.ModeSecure && !c.WithSecure:
		return "it is not configured for secure mode"
	}
	return ""
}

// packing is what was agreed on for one transport, if this side offers compression.
type packing struct {
	both      bool               // both banners say so: there is something to agree on
	algorithm compress.Algorithm // what both directions compress with; nil: nothing
	plain     string             // why not
	counted   packs              // of what the encoder and the decoder have packed
}

// agreeOnCompression begins what stands between AUTH_SIGNATURE and the idents (docs/PROTOCOL.md
// 9.2), on every transport anew, if both banners say so.
func (s *Session) agreeOnCompression() {
	x := s.rarely().packing
	switch both := x != nil && x.both; {
	case !both && s.state == StateAuthConnectingSign:
		s.identify()
	case !both:
		s.state = StateSessionAccepting
	case s.state == StateAuthConnectingSign:
		var req frame.CompressionRequest
		if x.plain = s.mayCompress(); x.plain == "" {
			req.Compress = true
			for _, a := range s.cfg.Compression.Algorithms {
				req.Methods = append(req.Methods, a.ID())
			}
		}
		s.state = StateCompressionConnecting
		s.queueControl(&req)
	default:
		s.state = StateCompressionAccepting
	}
}

// noteBanner looks whether the peer takes part in the agreement on compression.
func (s *Session) noteBanner(mine, peer frame.Banner) {
	if mine.Supported&frame.FeatureCompression == 0 {
		return
	}
	x := &packing{both: peer.Supported&frame.FeatureCompression != 0}
	if !x.both {
		x.plain = "the peer does not offer it"
	}
	s.needSeldom().packing = x
}

// connectorCompression is the acceptor's answer.
func (s *Session) connectorCompression(_ time.Duration, payload []byte) error {
	var f frame.CompressionDone
	if err := s.parse(&f, payload); err != nil {
		return err
	}
	x := s.rarely().packing
	if f.Compress {
		a := s.cfg.Compression.find(f.Method)
		if a == nil || x.plain != "" {
			return s.protocolError(f.Tag(), "algorithm %d, which was not asked for", f.Method)
		}
		s.compress(a)
	} else if x.plain == "" {
		x.plain = "the peer has none of the algorithms, or does not want to"
	}
	s.identify()
	return nil
}

// acceptorCompression answers a connector: the first of its algorithms that is here too.
func (s *Session) acceptorCompression(_ time.Duration, payload []byte) error {
	var f frame.CompressionRequest
	if err := s.parse(&f, payload); err != nil {
		return err
	}
	s.state = StateSessionAccepting
	x := s.rarely().packing
	x.plain = s.mayCompress()
	if x.plain == "" && !f.Compress {
		x.plain = "the peer does not want to"
	}
	if x.plain == "" {
		for _, id := range f.Methods {
			if a := s.cfg.Compression.find(id); a != nil {
				s.queueControl(&frame.CompressionDone{Compress: true, Method: id})
				s.compress(a)
				return nil
			}
		}
		x.plain = fmt.Sprintf("none of the peer's algorithms %v is here", f.Methods)
	}
	s.queueControl(&frame.CompressionDone{})
	return nil
}

// find is the algorithm of that number, or nil.
func (c *Compression) find(id uint32) compress.Algorithm {
	for _, a := range c.Algorithms {
		if a.ID() == id {
			return a
		}
	}
	return nil
}

// compress begins with the next frame of each direction.
func (s *Session) compress(a compress.Algorithm) {
	s.seldom.packing.algorithm = a
	s.stream.enc.SetCompression(a, s.cfg.Compression.MinSize)
	s.stream.dec.SetCompression(a)
}

// Compressed is what was agreed on with the peer, on the present transport: the
// name of the algorithm, or "" and, if this side has offered compression, why there is none.
func (s *Session) Compressed() (algorithm, whyNot string) {
	switch x := s.rarely().packing; {
	case x == nil:
		return "", ""
	case x.algorithm != nil:
		return x.algorithm.Name(), ""
	default:
		return "", x.plain
	}
}

// packs is what was compressed and decompressed.
type packs struct{ sent, received frame.Packed }

// countPacked adds what the present stream has done since the last time.
func (s *Session) countPacked() {
	p := s.rarely().packing
	if p == nil || p.algorithm == nil {
		return
	}
	now := packs{s.stream.enc.Packed(), s.stream.dec.Packed()}
	x := s.needSeldom()
	x.packs.sent.Add(now.sent.Sub(p.counted.sent))
	x.packs.received.Add(now.received.Sub(p.counted.received))
	p.counted = now
}

// dropPacking forgets what was agreed on for a transport that is gone.
func (s *Session) dropPacking() {
	if s.seldom != nil {
		s.countPacked()
		s.seldom.packing = nil
	}
}

// TakePacked returns what was compressed and what was decompressed since the last call.
func (s *Session) TakePacked() (sent, received frame.Packed) {
	s.countPacked()
	if s.seldom != nil {
		sent, received = s.seldom.packs.sent, s.seldom.packs.received
		s.seldom.packs = packs{}
	}
	return sent, received
}

// handlePacked is a complete MESSAGE that is compressed. What it becomes needs room in the
// throttles, in place of that for what came; then unpack goes on.
func (s *Session) handlePacked(now time.Duration) error {
	h := s.stream.dec.Header()
	if s.stream.dec.Aborted() || h.Seq <= s.num.in.Seq {
		return s.handleMessage(now) // dropped as it is
	}
	n, err := s.stream.dec.PlainLen()
	if err != nil {
		return s.badFrame(err)
	}
	if size := int64(n); size != s.stream.charged {
		// First the one is given back, then the other taken: connections that hold a part and
		// wait for the rest would wait for each other.
		s.gate.Abandon(s.stream.charged)
		s.stream.charged = size
		if !s.gate.Admit(size) {
			s.stream.paused, s.stream.packed = true, true
			return nil
		}
	}
	return s.unpack(now)
}

// unpack decompresses the message and hands it on.
func (s *Session) unpack(now time.Duration) error {
	s.stream.packed = false
	n, err := s.stream.dec.PlainLen()
	if err != nil {
		return s.badFrame(err)
	}
	m, body := s.bufs.messages().NewBody(n)
	s.stream.body = m
	if err := s.stream.dec.Unpack(body); err != nil {
		return s.badFrame(err)
	}
	return s.handleMessage(now)
}
