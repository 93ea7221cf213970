package cephperf

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/bench/threadpipe"
	"github.com/asyncmsgr/asyncmsgr/eventloop"
	"github.com/asyncmsgr/asyncmsgr/eventloop/netpollstack"
)

// Config is what server and clients do. Both need not have the same one.
type Config struct {
	// Jobs is how many connections there are, each of a messenger of its own, Window
	// how many requests each has in flight, and Messages how many it sends in all.
	Jobs, Window, Messages int
	// Length is that of a request's data in bytes.
	Length int
	// Think is how long a server takes for a request before it replies, and how long
	// a job pauses after each request. Not 0, a server takes requests from the queue.
	Think time.Duration
	// Queue lets messages go through the dispatch queue; otherwise fast dispatch.
	Queue bool
	// Threads is how many connections a server dispatches at the same time from its
	// queue; 0: the messenger's default.
	Threads int
	// Workers is how many event loops there are; 0: as many as processors.
	Workers int
	// Threadpipe takes the messengers with two goroutines for each connection.
	Threadpipe bool
	// ServerPID is the server's process on this host, to see what it uses; 0: it is asked.
	ServerPID int
	// Patience is how long connecting may take, and how long all replies may stay
	// out; 0: 30 s.
	Patience time.Duration
}

// Bounds of a Config.
const (
	jobsMax   = 10_000
	windowMax = 1 << 16
	lengthMax = 64 << 20 // what a data segment may have
)

// ErrConfig is wrapped by what Check returns.
var ErrConfig = errors.New("not possible")

// Check says what is wrong with c, or nil.
func (c *Config) Check() error {
	for _, x := range []struct {
		name         string
		is, min, max int64
	}{
		{"jobs", int64(c.Jobs), 1, jobsMax}, {"window", int64(c.Window), 1, windowMax},
		{"messages", int64(c.Messages), 1, 1 << 40}, {"length", int64(c.Length), 0, lengthMax},
		{"threads", int64(c.Threads), 0, 1024}, {"workers", int64(c.Workers), 0, 1024},
		{"think time", int64(c.Think), 0, int64(time.Minute)},
	} {
		if x.is < x.min || x.is > x.max {
			return fmt.Errorf("%w: %s %d is not within %d to %d", ErrConfig, x.name, x.is, x.min, x.max)
		}
	}
	if c.Patience < 0 {
		return fmt.Errorf("%w: patience %v is not positive", ErrConfig, c.Patience)
	}
	if c.ServerPID < 0 {
		return fmt.Errorf("%w: process %d", ErrConfig, c.ServerPID)
	}
	if c.Threadpipe && c.Workers > 0 {
		return fmt.Errorf("%w: threadpipe has no event loops", ErrConfig)
	}
	return nil
}

// Transport is the contestant's name in comparisons: async-fast, async-queue,
// threadpipe-goroutines or threadpipe-queue.
func (c *Config) Transport() string {
	switch {
	case c.Threadpipe && c.Queue:
		return "threadpipe-queue"
	case c.Threadpipe:
		return "threadpipe-goroutines"
	case c.Queue:
		return "async-queue"
	}
	return "async-fast"
}

func (c *Config) patience() time.Duration {
	if c.Patience > 0 {
		return c.Patience
	}
	return 30 * time.Second
}

// Nonce is that of every server, so that its address can be given as ip:port.
const Nonce = 1

// messenger is what async's and threadpipe's have in common.
type messenger interface {
	Start() error
	ConnectTo(entity.Type, entity.AddrVec) (msg.Connection, error)
	Addrs() entity.AddrVec
	AddDispatcherTail(msg.Dispatcher)
	SetDefaultPolicy(msg.Policy)
	Shutdown(context.Context) error
}

// network makes messengers, which share its event loops.
type network struct {
	Config
	stack eventloop.Stack // nil: async's default
}

func newNetwork(c Config) (n *network, err error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	n = &network{Config: c}
	if c.Workers > 0 {
		n.stack, err = netpollstack.Open(netpollstack.Config{Workers: c.Workers})
	}
	return n, err
}

// close closes what is not async's default. No messenger may be left.
func (n *network) close() error {
	if n.stack == nil {
		return nil
	}
	return n.stack.Close()
}

// create returns a messenger that listens at that address, if it is valid.
func (n *network) create(name entity.Name, nonce uint32, at netip.AddrPort) (messenger, error) {
	if n.Threadpipe {
		m, err := threadpipe.New(threadpipe.Config{Name: name, Nonce: nonce})
		if err == nil && at.IsValid() {
			err = m.Bind(at)
		}
		return m, err
	}
	m, err := async.New(async.Config{
		Name: name, Nonce: nonce, Stack: n.stack, DispatchWidth: n.Threads, ListenBacklog: 4096,
		BindRetries: -1,                            // who waits is told at once that an address is in use
		Logger:      slog.New(slog.DiscardHandler), // what fails is in the result
	})
	if err == nil && at.IsValid() {
		err = m.Bind(at)
	}
	return m, err
}
