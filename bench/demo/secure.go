package demo

import (
	"crypto/rand"
	"fmt"
	"sync/atomic"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
	"github.com/asyncmsgr/asyncmsgr/connection/auth/tlsauth"
)

// secretLen is of the secret that the messengers of a run share, in bytes.
const secretLen = 32

// keys are how the messengers authenticate, and how often they did.
type keys struct {
	secret     tlsauth.Secret // nil: AUTH_NONE
	handshakes atomic.Uint64
}

// method and mode are what every connection has to have.
func (k *keys) method() uint32 {
	if k.secret != nil {
		return auth.MethodTLS
	}
	return auth.MethodNone
}

func (k *keys) mode() uint32 {
	if k.secret != nil {
		return auth.ModeSecure
	}
	return auth.ModeCRC
}

// handshakeBytes is about what one side writes until a session is ready: with TLS a
// certificate and a post-quantum key besides.
func (k *keys) handshakeBytes() int64 {
	if k.secret != nil {
		return 2600
	}
	return 450
}

// make draws the secret, which nobody but this process ever sees.
func (k *keys) make() {
	k.secret = make(tlsauth.Secret, secretLen)
	rand.Read(k.secret) // never fails
}

// configure gives a messenger its identity, and has it look at those of its peers.
func (d *demo) configure(cfg *async.Config) error {
	cfg.Authorize = d.authorize
	if d.keys.secret == nil {
		return nil
	}
	name, err := entity.ParseAuthName(cfg.Name.String())
	if err != nil {
		return err
	}
	a, err := tlsauth.SharedSecret(name, d.keys.secret)
	if err != nil {
		return err
	}
	cfg.AuthClient, cfg.AuthServer = auth.Secure(a.Client()), a.Server()
	return nil
}

// authorize counts connections that were accepted and authenticated. One that is less
// than the run is said to be is a broken promise.
func (d *demo) authorize(p auth.Peer) error {
	if p.Method != d.keys.method() || p.Mode != d.keys.mode() || p.Proved != (d.keys.secret != nil) {
		err := fmt.Errorf("%s by method %s in mode %s, name proved: %t; want %s, %s", p.Name,
			auth.MethodName(p.Method), auth.ModeName(p.Mode), p.Proved,
			auth.MethodName(d.keys.method()), auth.ModeName(d.keys.mode()))
		d.oracle.Failed("a connection of %v", err)
		return err
	}
	d.keys.handshakes.Add(1)
	return nil
}
