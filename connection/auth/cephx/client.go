package cephx

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
)

// ClientConfig says who an entity is, and what it wants of monitors.
type ClientConfig struct {
	// Name is who this is, such as client.admin. An entity of type mon has no monitor to
	// log in at: it shows other monitors tickets that it makes itself.
	Name entity.AuthName
	// Key is the entity's own: Keyring.Find looks it up. For a monitor that of "mon.".
	Key Key
	// Services are the types of daemons that tickets are wanted for; nil: mon, mds, osd,
	// mgr. A ticket for AUTH, which is the login itself, is always asked for.
	Services []entity.Type
	// MonModes and Modes are the modes of connections with monitors and with others,
	// preferred first; nil: what Ceph's own clients say, secure before crc with monitors
	// and crc before secure with others. auth.Demand takes out what is not to be.
	MonModes, Modes []uint32
	// Service is the accepting side of a daemon, whose rotating secrets this client gets
	// from the monitor; nil: there is none.
	Service *Service
	// Rand is where nonces and, for what is sealed, random bytes come from; it has to be
	// as good as crypto/rand's. It is read by one goroutine at a time.
	Rand io.Reader
	// Now is the wall clock. Any goroutine may call it.
	Now func() time.Time
}

// Format writes the name and the type of the key, whatever the verb.
func (c ClientConfig) Format(s fmt.State, _ rune) {
	fmt.Fprintf(s, "cephx.ClientConfig(%s, %v)", c.Name, c.Key)
}

// servicesAll are those that there are tickets for, but for AUTH.
var servicesAll = []entity.Type{entity.TypeMon, entity.TypeMDS, entity.TypeOSD, entity.TypeMgr}

// complete checks c, and sets what is nil.
func (c *ClientConfig) complete() error {
	switch {
	case c.Name.Type == 0:
		return errors.New("cephx: ClientConfig.Name is missing")
	case c.Key == nil:
		return fmt.Errorf("cephx: ClientConfig.Key is missing: the key of %s", c.Name)
	case c.Rand == nil || c.Now == nil:
		return errors.New("cephx: ClientConfig.Rand or Now is missing")
	}
	if c.Services == nil {
		c.Services = servicesAll
	}
	for _, t := range c.Services {
		if maskOf(servicesAll)&uint32(t) != uint32(t) || t == 0 {
			return fmt.Errorf("cephx: ClientConfig.Services has %s, for which there are no tickets", t)
		}
	}
	if c.MonModes == nil {
		c.MonModes = []uint32{auth.ModeSecure, auth.ModeCRC}
	}
	if c.Modes == nil {
		c.Modes = []uint32{auth.ModeCRC, auth.ModeSecure}
	}
	return nil
}

// maskOf is services as the wire has them, or-ed.
func maskOf(services []entity.Type) (m uint32) {
	for _, t := range services {
		m |= uint32(t)
	}
	return m
}

// Client is the connecting side of one entity: it logs in at monitors, keeps the tickets
// that they give, and shows them to daemons. It implements auth.Client. Any goroutine may
// use it, and several messengers of the same entity.
type Client struct {
	cfg    ClientConfig
	random randomness

	mu      sync.Mutex
	tickets tickets
}

// NewClient makes a Client that has not logged in yet. An error says what is missing in
// the configuration.
func NewClient(cfg ClientConfig) (*Client, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	return &Client{cfg: cfg, random: randomness{r: cfg.Rand}}, nil
}

// Name is who the client is.
func (c *Client) Name() entity.AuthName { return c.cfg.Name }

// Now is the client's clock.
func (c *Client) Now() time.Time { return c.cfg.Now() }

// GlobalID is the number that a monitor gave, 0 before the first login.
func (c *Client) GlobalID() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.tickets.globalID
}

// Format writes the name and the type of the key, whatever the verb: never a secret.
func (c *Client) Format(s fmt.State, _ rune) {
	fmt.Fprintf(s, "cephx.Client(%s, %v)", c.cfg.Name, c.cfg.Key)
}

// NewExchange implements auth.Client.
func (c *Client) NewExchange(self, peer entity.Type) auth.ClientExchange {
	switch {
	case peer != entity.TypeMon:
		return &authorizing{c: c, service: peer}
	case self == entity.TypeMon && c.cfg.Name.Type == entity.TypeMon:
		return &authorizing{c: c, service: peer, own: true}
	}
	return &login{c: c}
}

// secretOf is the secret of a key as it signs AUTH_SIGNATURE.
func secretOf(k Key) []byte {
	const head = 2 + 8 + 2
	return k.Append(nil)[head:]
}
