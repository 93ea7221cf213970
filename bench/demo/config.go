package demo

import (
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// Config says how large the store is and how rough its network. Zero fields have
// defaults.
type Config struct {
	// Duration is how long traffic runs; 12 s. Checks take a moment more.
	Duration time.Duration
	// OSDs is their number, 3; Replicas how many copies an object has, 3 or OSDs.
	OSDs, Replicas int
	// Clients is how many clients are busy all the time; 8. Negative: none. Conns is how many
	// clients there are in all, each with a messenger of its own and a session
	// with every OSD; 32, at least Clients. The others do something now and then.
	Clients, Conns int
	// ObjectSize, 16 KiB, is the size of most objects in bytes; there are smaller
	// and larger ones. Sizes, if given, are the sizes instead.
	ObjectSize int
	Sizes      []int
	// CutRate is how many connections are cut per second; 30. Negative: none.
	CutRate float64
	// Secure gives all messengers one random secret (tlsauth.SharedSecret): each proves by
	// TLS that it has that, and everything is encrypted. Otherwise there is AUTH_NONE in crc mode,
	// which protects from accidents only.
	Secure bool
	// Seed of everything random that is the demo's, but for keys; 0 takes one from the clock.
	Seed uint64
	// Workers of the stack; 0 means GOMAXPROCS.
	Workers int
	// Admin, if set, is the path of an admin socket (async/admin) that tells of all messengers
	// while the demo runs; through it they may be broken on purpose as well.
	Admin string
	// Page, if set, is where the live page of all messengers (async/live) is served while the demo
	// runs, with buttons that cut sessions, stall and unplug OSDs, and kill clients. Run closes it. PageHosts and
	// PageEvery are Hosts and Every of live.Config.
	Page      net.Listener
	PageHosts []string
	PageEvery time.Duration
	// Began, if set, is called once when everything is connected and traffic begins,
	// with what the report knows by then: its head, no counts.
	Began func(*Report)
	// Progress, if set, gets one line that overwrites itself.
	Progress io.Writer
}

// ErrConfig: a Config that makes no sense; Run wraps it.
var ErrConfig = errors.New("demo: configuration")

const (
	durationMax   = 1000 * time.Hour
	cutRateMax    = 10_000.0
	objectSizeMax = 16 << 20
	memoryMax     = 4 << 30 // of all copies of all objects, in bytes
)

func (c Config) withDefaults() (Config, error) {
	if c.Duration == 0 {
		c.Duration = 12 * time.Second
	}
	if c.OSDs == 0 {
		c.OSDs = 3
	}
	if c.Replicas == 0 {
		c.Replicas = min(3, c.OSDs)
	}
	if c.Conns == 0 {
		c.Conns = max(32, c.Clients)
	}
	if c.Clients == 0 {
		c.Clients = min(8, c.Conns)
	}
	c.Clients = max(c.Clients, 0)
	if c.ObjectSize == 0 {
		c.ObjectSize = 16 << 10
	}
	if len(c.Sizes) == 0 {
		s := c.ObjectSize
		c.Sizes = []int{max(1, s/16), max(1, s/4), s, s, s, 4 * s}
	}
	if c.CutRate == 0 {
		c.CutRate = 30
	}
	if c.Seed == 0 {
		c.Seed = uint64(time.Now().UnixNano())
	}
	largest := 0
	for _, s := range c.Sizes {
		if s < 1 || s > objectSizeMax {
			return c, fmt.Errorf("%w: object size %d is not in 1..%d", ErrConfig, s, objectSizeMax)
		}
		largest = max(largest, s)
	}
	for _, f := range []struct {
		name     string
		n        int
		min, max int
	}{
		{"OSDs", c.OSDs, 1, 64},
		{"replicas", c.Replicas, 1, c.OSDs},
		{"clients in all", c.Conns, 1, 10000},
		{"busy clients", c.Clients, 0, c.Conns},
	} {
		if f.n < f.min || f.n > f.max {
			return c, fmt.Errorf("%w: %d %s: not in %d..%d", ErrConfig, f.n, f.name, f.min, f.max)
		}
	}
	if c.Duration < 0 || c.Duration > durationMax {
		return c, fmt.Errorf("%w: duration %v: not in 0s..%v", ErrConfig, c.Duration, durationMax)
	}
	if !(c.CutRate <= cutRateMax) { // which NaN is not
		return c, fmt.Errorf("%w: %v cuts a second: at most %v", ErrConfig, c.CutRate, cutRateMax)
	}
	objects := c.Conns*objectsPerClient + c.OSDs*coldPerOSD
	if need := int64(objects) * int64(c.Replicas) * int64(largest); need > memoryMax {
		return c, fmt.Errorf("%w: %d objects of up to %d bytes in %d copies need %d bytes, more than %d",
			ErrConfig, objects, largest, c.Replicas, need, int64(memoryMax))
	}
	return c, nil
}
