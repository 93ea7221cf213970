package cephx

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/denc"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
)

// MonitorConfig says whom a ticket server lets in, and with what.
type MonitorConfig struct {
	// Keyring has the keys of all entities, with what they may do, and that of "mon.", which
	// all monitors of a cluster share: the rotating secrets are made of it.
	Keyring *Keyring
	// AllowAES takes entities whose keys are of TypeAES too, which is broken
	// (CVE-2025-30156). Without it they are refused, as by Ceph 20.
	AllowAES bool
	// ServiceKeys is the type of rotating secrets; 0: TypeAES256K. Daemons have to know it,
	// clients need not.
	ServiceKeys KeyType
	// LoginLife is for how long a login is valid, 0: 72 h; TicketLife is that of tickets for
	// services, 0: 1 h. They are the same at all monitors, and whole seconds.
	LoginLife, TicketLife time.Duration
	// Modes are those that are allowed; nil: secure and crc.
	Modes []uint32
	// GlobalID gives a number that no client of the cluster has; nil: 62 random bits. Any
	// goroutine may call it.
	GlobalID func() uint64
	// Rand and Now are those of a ClientConfig. All monitors and daemons need clocks that
	// agree to within minutes.
	Rand io.Reader
	Now  func() time.Time
}

// Format writes no more than what it is, whatever the verb.
func (c MonitorConfig) Format(s fmt.State, _ rune) { fmt.Fprint(s, "cephx.MonitorConfig") }

func (c *MonitorConfig) complete() error {
	switch {
	case c.Keyring == nil:
		return errors.New("cephx: MonitorConfig.Keyring is missing")
	case c.Rand == nil || c.Now == nil:
		return errors.New("cephx: MonitorConfig.Rand or Now is missing")
	case c.LoginLife < 0 || c.TicketLife < 0 || c.LoginLife%time.Second != 0 || c.TicketLife%time.Second != 0:
		return errors.New("cephx: MonitorConfig.LoginLife and TicketLife are whole seconds, and not negative")
	}
	if c.ServiceKeys == 0 {
		c.ServiceKeys = TypeAES256K
	}
	if secretLen(c.ServiceKeys) == 0 {
		return fmt.Errorf("%w: MonitorConfig.ServiceKeys is %d", ErrKeyType, uint16(c.ServiceKeys))
	}
	if c.LoginLife == 0 {
		c.LoginLife = 72 * time.Hour
	}
	if c.TicketLife == 0 {
		c.TicketLife = time.Hour
	}
	if c.Modes == nil {
		c.Modes = []uint32{auth.ModeSecure, auth.ModeCRC}
	}
	return nil
}

// Monitor is a small ticket server, for clusters of this library's messengers: the accepting
// side of a monitor. It lets entities log in, gives them tickets, and lets other monitors in.
// It implements auth.Server. What it knows is its configuration and the time, so that several
// monitors of a cluster need not talk to each other about it. Any goroutine may use it.
type Monitor struct {
	cfg    MonitorConfig
	rotate rotation
	mons   *Service // lets other monitors in
	random randomness
}

// NewMonitor makes a Monitor. An error says what is missing in the configuration.
func NewMonitor(cfg MonitorConfig) (*Monitor, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	key, err := cfg.Keyring.Find(entity.AuthName{Type: entity.TypeMon})
	if err != nil {
		return nil, err
	}
	m := &Monitor{cfg: cfg, random: randomness{r: cfg.Rand}}
	m.mons, err = NewService(ServiceConfig{Type: entity.TypeMon, MonKey: key, Modes: cfg.Modes, Rand: &m.random,
		Now: cfg.Now})
	if err != nil {
		return nil, err
	}
	m.rotate = rotation{mon: key, typ: cfg.ServiceKeys, life: func(service entity.Type) time.Duration {
		if service == entity.TypeAuth {
			return cfg.LoginLife
		}
		return cfg.TicketLife
	}}
	return m, nil
}

// Format writes no more than what it is, whatever the verb.
func (m *Monitor) Format(s fmt.State, _ rune) { fmt.Fprint(s, "cephx.Monitor") }

// NewExchange implements auth.Server: other monitors show tickets of their own making, all
// others log in.
func (m *Monitor) NewExchange(_, peer entity.Type) auth.ServerExchange {
	if peer == entity.TypeMon {
		return m.mons.NewExchange(entity.TypeMon, peer)
	}
	return &loggingIn{m: m, peer: peer}
}

// Secrets are the rotating secrets that a service needs now, for a daemon of the same
// process (Service.SetSecrets). Others ask for them by a message.
func (m *Monitor) Secrets(service entity.Type) RotatingSecrets {
	return m.rotate.secrets(service, m.cfg.Now())
}

// key is the key of an entity that may log in.
func (m *Monitor) key(name entity.AuthName) (Key, error) {
	k, err := m.cfg.Keyring.Find(name)
	if err != nil {
		return nil, errors.New("there is no such entity")
	}
	if k.Type() == TypeAES && !m.cfg.AllowAES {
		return nil, errors.New("its key is of type aes, which is not allowed here (MonitorConfig.AllowAES)")
	}
	return k, nil
}

// globalID is a number for a client that has none.
func (m *Monitor) globalID() (uint64, error) {
	if m.cfg.GlobalID != nil {
		return m.cfg.GlobalID(), nil
	}
	for {
		id, err := m.random.number()
		if id >>= 2; id != 0 || err != nil {
			return id, err
		}
	}
}

// issue makes a ticket for a service, with a session key of the type of with, which seals
// what it says to the client. old, if not nil, is the session key that seals the blob.
func (m *Monitor) issue(
	name entity.AuthName, globalID uint64, service entity.Type, with, old Key,
) (t Ticket, session Key, err error) {
	now := m.cfg.Now()
	secret, err := m.random.bytes(secretLen(with.Type()))
	if err != nil {
		return t, nil, err
	}
	if session, err = newKey(with.Type(), secret, timeAt(now).word()); err != nil {
		return t, nil, err
	}
	life := m.rotate.life(service)
	info := TicketInfo{
		Name: name, GlobalID: globalID, OldAUID: ^uint64(0), Created: timeAt(now), Expires: timeAt(now.Add(life)),
		Caps: denc.AppendString(nil, m.cfg.Keyring.Caps(name, service)), SessionKey: session,
	}
	seal := m.rotate.secret(service, m.rotate.current(service, now))
	blob, err := seal.Key.Seal(nil, UsageTicketInfo, info.Append(nil), &m.random)
	if err != nil {
		return t, nil, err
	}
	t = Ticket{Service: service, Blob: TicketBlob{SecretID: seal.ID, Blob: blob}.Append(nil), BlobSealed: old != nil}
	if old != nil {
		if t.Blob, err = old.Seal(nil, UsageTicketBlob, denc.AppendBL(nil, t.Blob), &m.random); err != nil {
			return t, nil, err
		}
	}
	validity := Time{Sec: uint32(life / time.Second)}
	t.Sealed, err = with.Seal(nil, UsageServiceTicket, ServiceTicket{session, validity}.Append(nil), &m.random)
	return t, session, err
}

// issueAll makes tickets for services, sealed with the session key of the login.
func (m *Monitor) issueAll(name entity.AuthName, globalID uint64, services uint32, with Key) (all []Ticket, err error) {
	for _, s := range servicesAll {
		if services&uint32(s) == 0 {
			continue
		}
		t, _, err := m.issue(name, globalID, s, with, nil)
		if err != nil {
			return nil, err
		}
		all = append(all, t)
	}
	return all, nil
}

// opened opens a ticket for AUTH that a client shows.
func (m *Monitor) opened(t TicketBlob) (TicketInfo, error) {
	k, ok := m.rotate.find(entity.TypeAuth, t.SecretID, m.cfg.Now())
	if !ok {
		return TicketInfo{}, fmt.Errorf("its login is too old, or of another cluster: secret %d", t.SecretID)
	}
	info, err := openInfo(k, t)
	if err != nil {
		return TicketInfo{}, fmt.Errorf("its old ticket: %w", err)
	}
	return info, nil
}
