package cephx

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/denc"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
)

// ServiceConfig says what a daemon serves.
type ServiceConfig struct {
	// Type is what the daemon is: tickets for another service are refused.
	Type entity.Type
	// MonKey is the key of "mon.", for a monitor alone: other monitors show tickets that
	// are sealed with it.
	MonKey Key
	// Modes are those that are allowed; nil: secure and crc.
	Modes []uint32
	// Leeway is for how long after its end a ticket is taken, since the monitor's clock may
	// differ; 0: 5 min, negative: not at all.
	Leeway time.Duration
	// Rand and Now are those of a ClientConfig.
	Rand io.Reader
	Now  func() time.Time
}

// Format writes the type alone, whatever the verb.
func (c ServiceConfig) Format(s fmt.State, _ rune) { fmt.Fprintf(s, "cephx.ServiceConfig(%s)", c.Type) }

// leeway is the default of ServiceConfig.Leeway.
const leeway = 5 * time.Minute

func (c *ServiceConfig) complete() error {
	switch {
	case c.Type == 0:
		return errors.New("cephx: ServiceConfig.Type is missing")
	case c.MonKey != nil && c.Type != entity.TypeMon:
		return fmt.Errorf("cephx: ServiceConfig.MonKey is for a mon, and not for a %s", c.Type)
	case c.Rand == nil || c.Now == nil:
		return errors.New("cephx: ServiceConfig.Rand or Now is missing")
	}
	if c.Modes == nil {
		c.Modes = []uint32{auth.ModeSecure, auth.ModeCRC}
	}
	if c.Leeway == 0 {
		c.Leeway = leeway
	}
	c.Leeway = max(c.Leeway, 0)
	return nil
}

// Service is the accepting side of a daemon: it lets in who shows a ticket that a monitor
// sealed with one of the service's rotating secrets. It implements auth.Server. Any goroutine
// may use it.
type Service struct {
	cfg    ServiceConfig
	random randomness

	mu      sync.Mutex
	secrets RotatingSecrets
	asked   time.Time // when secrets were asked for
}

// NewService makes a Service that has no secrets yet: it refuses everybody until
// SetSecrets, or until the Client that has it as its Service has got them from a monitor.
func NewService(cfg ServiceConfig) (*Service, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	return &Service{cfg: cfg, random: randomness{r: cfg.Rand}}, nil
}

// SetSecrets replaces the rotating secrets.
func (s *Service) SetSecrets(all RotatingSecrets) {
	all.Secrets = slices.Clone(all.Secrets)
	slices.SortFunc(all.Secrets, func(a, b RotatingSecret) int { return int(min(max(int64(a.ID-b.ID), -1), 1)) })
	s.mu.Lock()
	defer s.mu.Unlock()
	s.secrets = all
}

// Format writes the type alone, whatever the verb.
func (s *Service) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "cephx.Service(%s)", s.cfg.Type) }

// open takes rotating secrets as a monitor gives them: a bl, sealed with the entity's key.
func (s *Service) open(k Key, body []byte) error {
	r := denc.NewReader(body)
	sealed := r.BL()
	err := r.End()
	var p []byte
	if err == nil {
		p, err = k.Open(nil, UsageRotating, sealed)
	}
	var all RotatingSecrets
	if err == nil {
		all, err = ParseRotatingSecrets(p)
	}
	if err != nil {
		return fmt.Errorf("cephx: the rotating secrets of %s: %w", s.cfg.Type, err)
	}
	s.SetSecrets(all)
	return nil
}

// How often secrets are asked for: at least so long after another, and an eighth of the
// time that one is in use.
const rotatingPause = time.Second

// renewAt is from when on the secrets should be asked for: when the last but one has a
// quarter of its time left, since the last one is used from its end on.
func (s *Service) renewAt() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.secrets.Secrets)
	if n < 2 {
		return s.asked.Add(rotatingPause)
	}
	now, next := s.secrets.Secrets[n-2].Expires.Moment(), s.secrets.Secrets[n-1].Expires.Moment()
	life := max(next.Sub(now), 0)
	at, pause := now.Add(-life/4), s.asked.Add(max(rotatingPause, life/8))
	if at.Before(pause) {
		return pause
	}
	return at
}

// asking notes that secrets are asked for.
func (s *Service) asking(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = now
}

// secret is the key that a ticket is sealed with.
func (s *Service) secret(id uint64) (Key, error) {
	if id == SecretMon {
		if s.cfg.MonKey == nil {
			return nil, errors.New("the ticket is sealed with the key of monitors, which is not taken here")
		}
		return s.cfg.MonKey, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	x, ok := s.secrets.Find(id)
	switch {
	case ok:
		return x.Key, nil
	case len(s.secrets.Secrets) == 0:
		return nil, errors.New("there are no rotating secrets here yet: they come from a monitor")
	}
	return nil, fmt.Errorf("the ticket is sealed with secret %d, and there is up to %d here: an old ticket, or "+
		"secrets that were not renewed", id, s.secrets.MaxID)
}

// NewExchange implements auth.Server.
func (s *Service) NewExchange(_, _ entity.Type) auth.ServerExchange { return &serving{s: s} }
