package hostile

import (
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
	"github.com/asyncmsgr/asyncmsgr/connection/auth/tlsauth"
	"github.com/asyncmsgr/asyncmsgr/connection/frame"
)

// speaker speaks the protocol frame by frame, over one connection.
type speaker struct {
	c    net.Conn
	enc  frame.Encoder
	dec  frame.Decoder
	in   []byte // received and not consumed
	rx   []byte // consumed until AUTH_DONE, for the signature
	said [][]byte
	turn bool // what is said next is a new piece of said
}

func newSpeaker(c net.Conn) *speaker {
	s := &speaker{c: c, turn: true}
	s.dec.Init(frame.Limits{})
	return s
}

func (s *speaker) write(p []byte) error {
	if s.turn {
		s.said, s.turn = append(s.said, nil), false
	}
	last := &s.said[len(s.said)-1]
	*last = append(*last, p...)
	_, err := s.c.Write(p)
	return err
}

func (s *speaker) say(all ...frame.Control) error {
	var b frame.Batch
	for _, f := range all {
		s.enc.AppendControl(&b, f)
	}
	return s.write(b.AppendTo(nil))
}

// more waits for more bytes.
func (s *speaker) more() error {
	s.turn = true
	var b [4096]byte
	n, err := s.c.Read(b[:])
	s.in = append(s.in, b[:n]...)
	if n > 0 {
		return nil
	}
	return err
}

func (s *speaker) consume(n int) {
	s.rx = append(s.rx, s.in[:n]...)
	s.in = s.in[n:]
}

// hear returns the tag and the payload of the next control frame.
func (s *speaker) hear() (frame.Tag, []byte, error) {
	for {
		n, ev, err := s.dec.Next(s.in)
		if err != nil {
			return 0, nil, err
		}
		payload := append([]byte(nil), s.dec.Payload()...)
		s.consume(n)
		switch ev {
		case frame.GotFrame:
			return s.dec.Preamble().Tag, payload, nil
		case frame.NeedMore:
			if err := s.more(); err != nil {
				return 0, nil, err
			}
		}
	}
}

// login does the handshake up to the signatures, as the owner of keys. If ident is not nil
// it goes on with a new session and fills in the cookie of the server.
func (s *speaker) login(keys *tlsauth.Auth, ident *session) error {
	x := keys.Client().NewExchange(entity.TypeClient, entity.TypeOSD)
	if c, ok := x.(io.Closer); ok {
		defer c.Close()
	}
	req, err := x.Request()
	if err != nil {
		return err
	}
	if err := s.write(banner()); err != nil {
		return err
	}
	ask := frame.AuthRequest{Method: req.Method, Modes: req.Modes, Payload: req.Payload}
	if err := s.say(hello(s.c), &ask); err != nil {
		return err
	}
	for {
		_, n, err := frame.ParseBanner(s.in)
		if err != nil {
			return err
		}
		if n > 0 {
			s.consume(n)
			break
		}
		if err := s.more(); err != nil {
			return err
		}
	}
	res, err := s.authenticate(x)
	if err != nil {
		return err
	}
	sig := frame.AuthSignature{Signature: sign(res.SessionKey, s.rx)}
	if err := s.useKeys(res.ConnectionSecret); err != nil {
		return err
	}
	if err := s.say(&sig); err != nil {
		return err
	}
	if tag, _, err := s.hear(); err != nil || tag != frame.TagAuthSignature {
		return fmt.Errorf("%v in place of a signature: %w", tag, err)
	}
	if ident == nil {
		return nil
	}
	return s.identify(ident)
}

func (s *speaker) authenticate(x auth.ClientExchange) (auth.Result, error) {
	for {
		tag, payload, err := s.hear()
		if err != nil {
			return auth.Result{}, err
		}
		switch tag {
		case frame.TagHello:
		case frame.TagAuthReplyMore:
			var f frame.AuthReplyMore
			if err := f.Parse(payload); err != nil {
				return auth.Result{}, err
			}
			p, err := x.More(f.Payload)
			if err != nil {
				return auth.Result{}, err
			}
			if err := s.say(&frame.AuthRequestMore{Payload: p}); err != nil {
				return auth.Result{}, err
			}
		case frame.TagAuthDone:
			var f frame.AuthDone
			if err := f.Parse(payload); err != nil {
				return auth.Result{}, err
			}
			return x.Done(f.GlobalID, f.ConMode, f.Payload)
		default:
			return auth.Result{}, fmt.Errorf("refused: %v", tag)
		}
	}
}

func sign(key, log []byte) (sig [32]byte) {
	m := hmac.New(sha256.New, key)
	m.Write(log)
	m.Sum(sig[:0])
	return sig
}

func (s *speaker) useKeys(secret []byte) error {
	toUs, err := frame.NewGCM(secret[:16], secret[16:28])
	if err != nil {
		return err
	}
	fromUs, err := frame.NewGCM(secret[:16], secret[28:40])
	if err != nil {
		return err
	}
	s.enc.SetCipher(fromUs)
	s.dec.SetCipher(toUs)
	s.dec.SetPreAuth(false)
	return nil
}

// session is what one needs to go on with a session.
type session struct {
	gid     int64
	addrs   entity.AddrVec
	cookies [2]uint64 // the client's and the server's
}

var errNoSession = errors.New("the server does not begin a session")

func (s *speaker) identify(x *session) error {
	err := s.say(&frame.ClientIdent{
		Addrs: x.addrs, Target: addrOf(s.c.RemoteAddr()), GID: x.gid, GlobalSeq: 1,
		FeaturesSupported: ^uint64(0) >> 1, Cookie: x.cookies[0],
	})
	if err != nil {
		return err
	}
	tag, payload, err := s.hear()
	if err != nil {
		return err
	}
	var f frame.ServerIdent
	if tag != frame.TagServerIdent {
		return fmt.Errorf("%w: %v", errNoSession, tag)
	}
	if err := f.Parse(payload); err != nil {
		return err
	}
	x.cookies[1] = f.Cookie
	return nil
}
