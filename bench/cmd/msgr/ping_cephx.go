package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/connection/auth/cephx"
)

// cephxName is who msgr ping is with a keyring, unless told.
const cephxName = "client.admin"

// cephxKeys are the keys of an entity of a keyring.
func (c pingCmd) cephxKeys() (*pingKeys, error) {
	text := c.Name
	if text == "" {
		text = cephxName
	}
	name, err := entity.ParseAuthName(text)
	switch {
	case err != nil:
		return nil, fmt.Errorf("--name: %w; give one such as client.admin", err)
	case c.Type != entity.TypeMon.String():
		return nil, fmt.Errorf("--keyring with --type %s: who logs in by cephx does so at a monitor", c.Type)
	}
	f, err := os.Open(c.Keyring)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	ring, err := cephx.ReadKeyring(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.Keyring, err)
	}
	key, err := ring.Find(name)
	if missing, ok := errors.AsType[*cephx.KeyError](err); ok && len(missing.Has) > 0 {
		return nil, fmt.Errorf("%s: %w; choose by --name", c.Keyring, err)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.Keyring, err)
	}
	x, err := cephx.NewClient(cephx.ClientConfig{Name: name, Key: key, Services: []entity.Type{}, Rand: rand.Reader,
		Now: time.Now})
	if err != nil {
		return nil, err
	}
	return &pingKeys{client: x, name: name}, nil
}
