package tlsauth

import (
	"crypto/tls"
	"errors"
	"fmt"

	"github.com/asyncmsgr/asyncmsgr/connection/auth"
)

// serverExchange implements auth.ServerExchange, auth.Slow and io.Closer.
type serverExchange struct {
	exchange
	numbers bool // gives the peer a global id
	begun   bool
}

// Request implements auth.ServerExchange. A client that does not ask for TLS in secure
// mode is told what there is; nothing is signed and no goroutine begins before there is a
// payload that may be a ClientHello.
func (x *serverExchange) Request(r auth.Request) (auth.Reply, error) {
	if x.begun {
		_ = x.Close()
		return auth.Reply{}, malformed("another AUTH_REQUEST within a handshake")
	}
	x.begun = true
	if r.Method != auth.MethodTLS {
		return auth.Reply{}, x.refuse(r.Method, eOPNOTSUPP, fmt.Errorf("tlsauth: the peer asks for method %s",
			auth.MethodName(r.Method)))
	}
	if _, ok := auth.ChooseMode(r.Modes, []uint32{auth.ModeSecure}); !ok {
		return auth.Reply{}, x.refuse(r.Method, eOPNOTSUPP,
			errors.New("tlsauth: the peer does not ask for secure mode"))
	}
	if _, err := parsePayload(r.Payload); err != nil {
		return auth.Reply{}, err
	}
	creds, err := x.begin()
	if err != nil {
		return auth.Reply{}, x.refuse(auth.MethodTLS, eACCES, err)
	}
	h, _, err := startHandshake(tls.QUICServer(&tls.QUICConfig{TLSConfig: creds.serverFor(x.now)}))
	if err != nil {
		return auth.Reply{}, x.explain(err)
	}
	x.h = h
	return x.step(r.Payload)
}

// More implements auth.ServerExchange.
func (x *serverExchange) More(payload []byte) (auth.Reply, error) {
	if x.h == nil {
		return auth.Reply{}, malformed("AUTH_REQUEST_MORE, but the handshake is over or has not begun")
	}
	return x.step(payload)
}

func (x *serverExchange) step(payload []byte) (auth.Reply, error) {
	out, err := x.h.step(payload)
	if err != nil {
		return auth.Reply{}, x.failed(x.explain(err))
	}
	if !x.h.done {
		return auth.Reply{Payload: out}, nil
	}
	k, err := x.h.keys()
	if err != nil {
		return auth.Reply{}, x.failed(err)
	}
	name, err := x.identify(&k)
	if err != nil {
		return auth.Reply{}, x.failed(err)
	}
	_ = x.Close()
	r := x.result(name, &k)
	if x.numbers {
		r.GlobalID = x.auth.lastGlobalID.Add(1)
	}
	return auth.Reply{Done: true, Payload: out, Result: r}, nil
}

// failed ends the exchange. A peer that did not prove who it is gets a refusal; bytes that
// are no handshake drop the connection.
func (x *serverExchange) failed(err error) error {
	_ = x.Close()
	if errors.As(err, new(*PeerError)) {
		return x.refuse(auth.MethodTLS, eACCES, err)
	}
	return err
}

// refuse answers AUTH_BAD_METHOD; why is for the operator alone.
func (x *serverExchange) refuse(method uint32, errno int32, why error) error {
	return &refused{why: why, answer: &auth.RefusedError{Method: method, Result: -errno,
		Methods: []uint32{auth.MethodTLS}, Modes: []uint32{auth.ModeSecure}}}
}
