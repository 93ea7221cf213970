package mon

import (
	"crypto/rand"
	"errors"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
	"github.com/asyncmsgr/asyncmsgr/connection/auth/cephx"
)

// Login says who logs in, for Open.
type Login struct {
	// Name is who this is, such as client.admin.
	Name entity.AuthName
	// Key is its key, of a keyring (cephx.ReadKeyring); nil: the cluster wants none
	// (AUTH_NONE).
	Key cephx.Key
	// Modes are those that will do, auth.ModeCRC and auth.ModeSecure; nil: what the cluster
	// prefers.
	Modes []uint32
	// Messenger is the configuration of the messenger: its Name, AuthName and AuthClient are
	// set here.
	Messenger async.Config
}

// Open makes a messenger that logs in, and a Client on it, which hunts at once: Ready waits
// for it. Close ends both. The messenger's connections are msg.LossyClient, as those of
// Ceph's clients are. Of cfg, Cephx is set here.
func Open(cfg Config, login Login) (*Client, error) {
	if login.Name.Type != entity.TypeClient || login.Name.ID == "" {
		return nil, errors.New("mon: Login.Name is not that of a client, such as client.admin")
	}
	ac := login.Messenger
	ac.Name, ac.AuthName, ac.AuthClient = entity.Client(entity.NumNew), login.Name, nil
	if login.Key != nil {
		x, err := cephx.NewClient(cephx.ClientConfig{Name: login.Name, Key: login.Key, Rand: rand.Reader,
			Now: time.Now})
		if err != nil {
			return nil, err
		}
		cfg.Cephx, ac.AuthClient = x, x
	}
	if login.Modes != nil {
		if ac.AuthClient == nil {
			ac.AuthClient = auth.NoneClient{Name: login.Name}
		}
		ac.AuthClient = auth.Demand{Client: ac.AuthClient, Modes: login.Modes}
	}
	m, err := async.New(ac)
	if err != nil {
		return nil, err
	}
	m.SetDefaultPolicy(msg.LossyClient())
	if err := m.Start(); err != nil {
		return nil, err
	}
	c, err := New(m, cfg)
	if err != nil {
		return nil, errors.Join(err, shutdown(m))
	}
	c.own = true
	return c, nil
}
