package tlsauth

import (
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
)

// clientExchange implements auth.ClientExchange, auth.Slow and io.Closer.
type clientExchange struct {
	exchange
	own    string // the own certificate, for errors
	server entity.AuthName
	agreed *keys // nil until the server's Finished was verified
}

// Request implements auth.ClientExchange: it begins the handshake.
func (x *clientExchange) Request() (auth.Request, error) {
	if x.h != nil || x.agreed != nil {
		return auth.Request{}, errors.New("tlsauth: the exchange has begun already")
	}
	creds, err := x.begin()
	if err != nil {
		return auth.Request{}, err
	}
	x.own = ownText(creds)
	h, hello, err := startHandshake(tls.QUICClient(&tls.QUICConfig{TLSConfig: creds.clientFor(x.now)}))
	if err != nil {
		return auth.Request{}, x.explain(err)
	}
	x.h = h
	return auth.Request{Method: auth.MethodTLS, Modes: []uint32{auth.ModeSecure}, Payload: hello}, nil
}

// BadMethod implements auth.ClientExchange: there is no other method to try.
func (x *clientExchange) BadMethod(refusal *auth.RefusedError) (auth.Request, error) {
	_ = x.Close()
	e := &declined{what: "the peer refuses TLS", hint: "its log says why", refusal: refusal}
	switch refusal.Result {
	case -eACCES:
		e.what = "the peer does not accept " + x.own
	case -eOPNOTSUPP:
		e.what, e.hint = "the peer has no TLS", "give the peer keys too, or take TLS from this side"
	}
	return auth.Request{}, e
}

// More implements auth.ClientExchange: it verifies who the server is, and answers with
// this side's certificate.
func (x *clientExchange) More(payload []byte) ([]byte, error) {
	if x.h == nil {
		return nil, fmt.Errorf("tlsauth: AUTH_REPLY_MORE, but the handshake is over or has not begun")
	}
	out, err := x.h.step(payload)
	if err != nil {
		_ = x.Close()
		return nil, x.explain(err)
	}
	if !x.h.done {
		return out, nil // the server asked for another ClientHello
	}
	k, err := x.h.keys()
	if err == nil {
		x.server, err = x.identify(&k)
	}
	_ = x.Close()
	if err != nil {
		return nil, err
	}
	x.agreed = &k
	return out, nil
}

// Done implements auth.ClientExchange. The handshake has to be over: the server has
// nothing to add to it.
func (x *clientExchange) Done(globalID uint64, mode uint32, payload []byte) (auth.Result, error) {
	k := x.agreed
	x.agreed = nil
	_ = x.Close()
	switch {
	case k == nil:
		return auth.Result{}, malformed("AUTH_DONE, but the handshake is not finished")
	case mode != auth.ModeSecure:
		return auth.Result{}, fmt.Errorf("%w: %s mode with method tls", auth.ErrRefused, auth.ModeName(mode))
	case len(payload) > 0:
		return auth.Result{}, malformed("%d bytes in AUTH_DONE, which has none", len(payload))
	}
	r := x.result(x.server, k)
	r.GlobalID = globalID
	return r, nil
}

// ownText is the own certificate for an error of this side.
func ownText(c *credentials) string {
	if c.leaf == nil {
		return "our certificate"
	}
	return fmt.Sprintf("the certificate of %s (by %s, until %s)", c.name, quoted(c.leaf.Issuer.CommonName),
		c.leaf.NotAfter.UTC().Format(time.RFC3339))
}
