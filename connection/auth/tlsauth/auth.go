package tlsauth

import (
	"fmt"
	"sync/atomic"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
)

// Auth is one messenger's authentication by TLS, of both sides. It may be used by several
// goroutines and by several messengers of the same name.
type Auth struct {
	cfg          *Config
	name         entity.AuthName
	keys         source
	lastGlobalID atomic.Uint64
}

// New makes an Auth. It reads the files of the configuration: one that is missing, cannot
// be read, is half-written, does not fit the others or has expired is a *FileError; what
// is wrong with the configuration itself is a *ConfigError.
func New(cfg Config) (*Auth, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	a := &Auth{cfg: &cfg, name: cfg.Name}
	now := cfg.Time()
	switch {
	case cfg.TLS != nil:
		g, name, err := newGiven(&cfg, now)
		if err != nil {
			return nil, err
		}
		a.keys, a.name = g, name
	case len(cfg.Secrets) > 0:
		s, err := newSecrets(&cfg)
		if err != nil {
			return nil, err
		}
		a.keys, cfg.Secrets = s, nil
	default:
		f, err := newFiles(&cfg, now)
		if err != nil {
			return nil, err
		}
		a.keys, a.name = f, f.name
	}
	return a, nil
}

// Name is who this messenger is: what its certificate says. It is zero if only callbacks
// of Config.TLS know.
func (a *Auth) Name() entity.AuthName { return a.name }

// Format writes the name, whatever the verb: never a key.
func (a *Auth) Format(s fmt.State, _ rune) { fmt.Fprintf(s, "tlsauth.Auth(%s)", a.name) }

// Client is the side that connects. Its exchanges ask for secure mode only.
func (a *Auth) Client() auth.Client { return clientSide{a} }

// Server is the side that accepts. Its exchanges answer TLS in secure mode only; all else
// is refused with -EOPNOTSUPP, a certificate that does not verify with -EACCES.
func (a *Auth) Server() auth.Server { return serverSide{a} }

type clientSide struct{ a *Auth }

// NewExchange implements auth.Client. It only makes the exchange; keys are looked up when
// the exchange is asked for its first request.
func (c clientSide) NewExchange(_, peer entity.Type) auth.ClientExchange {
	return &clientExchange{exchange: exchange{auth: c.a, peer: peer}}
}

type serverSide struct{ a *Auth }

// NewExchange implements auth.Server.
func (s serverSide) NewExchange(self, peer entity.Type) auth.ServerExchange {
	x := &serverExchange{exchange: exchange{auth: s.a, peer: peer}}
	// As with the method NONE, a monitor gives numbers to those that are none.
	x.numbers = self == entity.TypeMon && peer != entity.TypeMon
	return x
}
