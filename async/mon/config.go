package mon

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/connection/auth/cephx"
)

// Config says which monitors there are and what is wanted of them. Only Mons has no default.
type Config struct {
	// Mons are the monitors, each by its addresses, as mon_host of a ceph.conf has them. The
	// monitor map adds those that it has. At most monsMax are kept.
	Mons []entity.AddrVec
	// Cephx is the AuthClient of the messenger, or in it, whose tickets are to be renewed; nil:
	// there are none. Then package tickets is not needed.
	Cephx *cephx.Client
	// OSDMap subscribes to the OSD map from the beginning. See Client.OSDMap.
	OSDMap bool

	// Parallel is how many monitors are called at a time; 0: 2, at most monsMax.
	Parallel int
	// AttemptTimeout is how long a monitor has to let this side in; 0: 3 s.
	AttemptTimeout time.Duration
	// PauseMin and PauseMax bound the pause after a round in which no monitor let this side
	// in, or a session that broke within stableMin; it doubles, give or take a quarter. 0: 200
	// ms and 15 s.
	PauseMin, PauseMax time.Duration
	// KeepaliveInterval is how often the monitor is asked for a sign of life, and
	// KeepaliveTimeout how long it may give none; 0: 10 s and 30 s.
	KeepaliveInterval, KeepaliveTimeout time.Duration
	// AnswerTimeout is how long a monitor may leave a question unanswered until another one is
	// asked; 0: 30 s. A monitor without a quorum answers nothing.
	AnswerTimeout time.Duration

	// CommandsMax bounds the questions that wait for an answer; 0: 1024. Beyond that they are
	// refused with ErrBusy.
	CommandsMax int
	// MapBytesMax bounds the bytes of OSD maps that are kept; 0: 64 MiB. At the bound the
	// changes are dropped, and the newest map is asked for as a whole.
	MapBytesMax int
	// Host is this one's name, which the monitor's logs have; "": "asyncmsgr".
	Host string
	// Logger is told of monitors that refuse or do not answer; nil: the messenger's.
	Logger *slog.Logger
}

const (
	// monsMax bounds the monitors that are known.
	monsMax = 64
	// stableMin is how long a session has to last until the pauses begin anew.
	stableMin = 10 * time.Second
)

// complete checks c and sets what is 0.
func (c *Config) complete() error {
	if len(c.Mons) == 0 {
		return errors.New("mon: Config.Mons is empty")
	}
	if len(c.Mons) > monsMax {
		return fmt.Errorf("mon: Config.Mons has %d monitors, and at most %d are kept", len(c.Mons), monsMax)
	}
	for i, m := range c.Mons {
		if m.Msgr2().IsBlank() {
			return fmt.Errorf("mon: Config.Mons[%d] is %s, without an address of msgr v2", i, m)
		}
	}
	for _, d := range []struct {
		name string
		v    *time.Duration
		def  time.Duration
	}{
		{"AttemptTimeout", &c.AttemptTimeout, 3 * time.Second},
		{"PauseMin", &c.PauseMin, 200 * time.Millisecond}, {"PauseMax", &c.PauseMax, 15 * time.Second},
		{"KeepaliveInterval", &c.KeepaliveInterval, 10 * time.Second},
		{"KeepaliveTimeout", &c.KeepaliveTimeout, 30 * time.Second},
		{"AnswerTimeout", &c.AnswerTimeout, 30 * time.Second},
	} {
		if *d.v < 0 {
			return fmt.Errorf("mon: Config.%s is %v, and must not be negative", d.name, *d.v)
		}
		if *d.v == 0 {
			*d.v = d.def
		}
	}
	for _, d := range []struct {
		name   string
		v      *int
		def, m int
	}{
		{"Parallel", &c.Parallel, 2, monsMax}, {"CommandsMax", &c.CommandsMax, 1024, 1 << 20},
		{"MapBytesMax", &c.MapBytesMax, 64 << 20, 1 << 30},
	} {
		if *d.v < 0 || *d.v > d.m {
			return fmt.Errorf("mon: Config.%s is %d: not in 0..%d", d.name, *d.v, d.m)
		}
		if *d.v == 0 {
			*d.v = d.def
		}
	}
	if c.PauseMax < c.PauseMin {
		return fmt.Errorf("mon: Config.PauseMax is %v, less than PauseMin %v", c.PauseMax, c.PauseMin)
	}
	if c.Host == "" {
		c.Host = "asyncmsgr"
	}
	return nil
}
