package cephperf

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// client is a run of all jobs.
type client struct {
	*network
	data     []byte
	front    []byte // of requests
	epoch    time.Time
	jobs     []*job
	left     sync.WaitGroup // jobs that have not had all replies
	answered atomic.Int64
	usages   chan []byte
	silent   bool // the server does not say what it has used
	refused  atomic.Pointer[error]
	failed   chan error // the first trouble
}

func (c *client) now() int64 { return int64(time.Since(c.epoch)) }

// fail ends the run. Only the first reason counts.
func (c *client) fail(err error) {
	select {
	case c.failed <- err:
	default:
	}
}

// Both runs server and clients in this process.
func Both(ctx context.Context, c Config) (Result, error) {
	if err := c.Check(); err != nil {
		return Result{}, err
	}
	s, err := Serve(c, netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		return Result{}, err
	}
	r, err := Run(ctx, c, s.Addr())
	return r, errors.Join(err, s.Close())
}

// Run connects all jobs with the server at that address, has them send their messages
// and returns what it took. The result is there with an error too, as far as the run
// came: of a connection that failed or ended, or of replies that did not come. With that
// of ctx, which ended, it is marked Interrupted.
func Run(ctx context.Context, cfg Config, server netip.AddrPort) (r Result, err error) {
	n, err := newNetwork(cfg)
	if err != nil {
		return r, err
	}
	c := &client{
		network: n, data: make([]byte, cfg.Length), front: encodeRequest(cfg.Length), epoch: time.Now(),
		usages: make(chan []byte, 1), failed: make(chan error, 1),
	}
	defer func() { err = errors.Join(err, c.stop()) }()
	r = Result{
		Transport: cfg.Transport(), Server: server.String(), Jobs: cfg.Jobs, Window: cfg.Window, Messages: cfg.Messages,
		ThinkMicros: float64(cfg.Think) / 1e3, Length: cfg.Length,
	}
	addr := entity.AddrVec{{Type: entity.AddrMsgr2, Nonce: Nonce, AddrPort: server}}
	if err := c.connect(ctx, addr); err != nil {
		return r, err
	}
	before, err := use()
	if err != nil {
		return r, err
	}
	theirs, err := c.theirs(ctx)
	if err != nil {
		return r, err
	}
	began := time.Now()
	runErr := c.play(ctx)
	r.Seconds = time.Since(began).Seconds()
	after, err := use()
	if err != nil {
		return r, err
	}
	c.sum(&r)
	r.Client = endOf(before, after, r.Answered)
	if runErr != nil && ctx.Err() != nil {
		r.Interrupted, r.InFlight, r.Lost = true, r.Lost, 0
	}
	if runErr != nil {
		return r, runErr
	}
	theirsAfter, err := c.theirs(ctx)
	if err != nil {
		return r, err
	}
	r.ServerSilent = c.silent
	if !c.silent && theirs.PID != os.Getpid() {
		r.ServerEnd = endOf(theirs, theirsAfter, r.Answered)
	}
	if r.Lost > 0 || r.Odd > 0 {
		return r, fmt.Errorf("%w: %d; replies to nothing: %d", errLost, r.Lost, r.Odd)
	}
	return r, nil
}

// connect opens the connections of all jobs and returns when they are ready.
func (c *client) connect(ctx context.Context, server entity.AddrVec) error {
	var ready sync.WaitGroup
	for i := range c.Jobs {
		m, err := c.create(entity.Client(int64(i+1)), 0, netip.AddrPort{})
		if err != nil {
			return err
		}
		j := newJob(c)
		j.m = m
		c.jobs = append(c.jobs, j)
		m.SetDefaultPolicy(msg.LossyClient())
		ready.Add(1)
		j.ready = sync.OnceFunc(ready.Done)
		m.AddDispatcherTail(j)
		if err := m.Start(); err != nil {
			return err
		}
		if j.conn, err = m.ConnectTo(entity.TypeOSD, server); err != nil {
			return err
		}
	}
	all := make(chan struct{})
	go func() { ready.Wait(); close(all) }()
	timeout := time.NewTimer(c.patience())
	defer timeout.Stop()
	var err error
	select {
	case <-all:
		return nil
	case err = <-c.failed:
	case <-timeout.C:
		err = fmt.Errorf("not all %d jobs were connected within %v", c.Jobs, c.patience())
		if refused := c.refused.Load(); refused != nil {
			err = fmt.Errorf("%w: %w", err, *refused)
		}
	case <-ctx.Done():
		err = ctx.Err()
	}
	for _, j := range c.jobs {
		j.ready() // nobody waits any more
	}
	return err
}

// play runs the jobs until all replies are there.
func (c *client) play(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	c.left.Add(len(c.jobs))
	for _, j := range c.jobs {
		if c.Think > 0 {
			running.Go(func() { j.run(ctx) })
		} else {
			j.run(ctx)
		}
	}
	all := make(chan struct{})
	go func() { c.left.Wait(); close(all) }()
	look := time.NewTicker(c.patience())
	defer look.Stop()
	for last := int64(-1); ; {
		select {
		case <-all:
			return nil
		case err := <-c.failed:
			c.forget()
			return err
		case <-ctx.Done():
			c.forget()
			return ctx.Err()
		case <-look.C:
			n := c.answered.Load()
			if n == last {
				c.forget()
				return fmt.Errorf("%w: no reply within %v", errLost, c.patience())
			}
			last = n
		}
	}
}

// forget lets go of the goroutine that waits for jobs, which will not end. Replies that
// still come do not count.
func (c *client) forget() {
	for _, j := range c.jobs {
		j.mu.Lock()
		j.over = true
		if j.answered < c.Messages {
			c.left.Done()
		}
		j.mu.Unlock()
	}
}

// askPatience is how long a server may take to say what it has used. Ceph's does not
// answer.
const askPatience = 2 * time.Second

var errSilent = errors.New("the server does not say what it has used")

// theirs is what the server has used, as far as that is known.
func (c *client) theirs(ctx context.Context) (u Usage, err error) {
	switch {
	case c.ServerPID > 0:
		return useOf(c.ServerPID)
	case c.silent:
		return u, nil
	}
	u, err = c.ask(ctx)
	if errors.Is(err, errSilent) {
		c.silent = true
		return u, nil
	}
	return u, err
}

// ask asks the server.
func (c *client) ask(ctx context.Context) (u Usage, err error) {
	if err := c.jobs[0].conn.Send(&msg.Message{Type: typeUsage}); err != nil {
		return u, err
	}
	timeout := time.NewTimer(min(askPatience, c.patience()))
	defer timeout.Stop()
	select {
	case text := <-c.usages:
		return u, json.Unmarshal(text, &u)
	case err := <-c.failed:
		return u, err
	case <-timeout.C:
		return u, errSilent
	case <-ctx.Done():
		return u, ctx.Err()
	}
}

// sum adds up what the jobs counted.
func (c *client) sum(r *Result) {
	h := hdrhistogram.New(100, latencyMax, 3)
	sent := int64(0)
	for _, j := range c.jobs {
		j.mu.Lock()
		sent += int64(j.sent)
		r.Answered += int64(j.answered)
		r.Odd += int64(j.odd)
		h.Merge(j.hist)
		j.mu.Unlock()
	}
	r.Lost = sent - r.Answered
	us := func(q float64) float64 { return float64(h.ValueAtQuantile(q)) / 1000 }
	r.P50, r.P99, r.P999 = us(50), us(99), us(99.9)
	if r.Seconds > 0 {
		r.Rate = float64(r.Answered) / r.Seconds
		r.MB = r.Rate * float64(c.Length) / 1e6
	}
}

// stop ends all messengers.
func (c *client) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), c.patience())
	defer cancel()
	errs := make([]error, len(c.jobs))
	var wg sync.WaitGroup
	for i, j := range c.jobs {
		wg.Go(func() { errs[i] = j.stop(ctx) })
	}
	wg.Wait()
	return errors.Join(append(errs, c.close())...)
}
