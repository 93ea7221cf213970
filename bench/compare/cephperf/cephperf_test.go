package cephperf

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	msg.PoisonBuffers = true
	// The stack and the pool that all messengers of a process share stay, and so do
	// netpoll's pollers.
	for _, open := range []func() error{
		func() error { _, err := async.DefaultStack(); return err },
		func() error { _, err := async.DefaultExecutor(); return err },
	} {
		if err := open(); err != nil {
			panic(err)
		}
	}
	goleak.VerifyTestMain(m, goleak.IgnoreCurrent(),
		goleak.IgnoreAnyFunction("github.com/cloudwego/netpoll.(*defaultPoll).Wait"),
		goleak.IgnoreAnyFunction("github.com/panjf2000/ants/v2.(*goWorker).run.func1"))
}

func TestBoth(t *testing.T) {
	for name, c := range map[string]Config{
		"fast":             {Jobs: 3, Window: 7, Messages: 100, Length: 64},
		"queue":            {Jobs: 2, Window: 4, Messages: 50, Length: 4096, Queue: true, Threads: 2},
		"workers":          {Jobs: 2, Window: 4, Messages: 50, Workers: 1},
		"threadpipe":       {Jobs: 2, Window: 4, Messages: 50, Length: 1, Threadpipe: true},
		"threadpipe queue": {Jobs: 2, Window: 4, Messages: 50, Length: 1, Threadpipe: true, Queue: true},
		"few messages":     {Jobs: 1, Window: 64, Messages: 3},
		"think":            {Jobs: 2, Window: 3, Messages: 10, Think: 10 * time.Microsecond},
		"large":            {Jobs: 1, Window: 2, Messages: 4, Length: 5 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := Both(context.Background(), c)
			require.NoError(t, err)
			require.EqualValues(t, c.Jobs*c.Messages, r.Answered)
			require.Zero(t, r.Lost)
			require.Zero(t, r.Odd)
			require.Positive(t, r.Rate)
			require.Positive(t, r.P50)
			require.GreaterOrEqual(t, r.P999, r.P50)
			require.Positive(t, r.CPU())
			require.Nil(t, r.ServerEnd, "it is this process")
			require.Equal(t, c.Transport(), r.Transport)
			var b bytes.Buffer
			require.NoError(t, r.Write(&b))
			require.Contains(t, b.String(), "16 x 64        261 000/s at 7.0 us")
		})
	}
}

// TestServerDies: what is in flight is reported as lost, and the run ends.
func TestServerDies(t *testing.T) {
	c := Config{Jobs: 2, Window: 8, Messages: 1 << 30, Patience: 10 * time.Second}
	s, err := Serve(c, netip.MustParseAddrPort("127.0.0.1:0"))
	require.NoError(t, err)
	type outcome struct {
		r   Result
		err error
	}
	done := make(chan outcome, 1)
	go func() {
		r, err := Run(context.Background(), c, s.Addr())
		done <- outcome{r, err}
	}()
	require.Eventually(t, func() bool { return s.Requests() > 100 }, 30*time.Second, time.Millisecond)
	require.NoError(t, s.Close())
	o := <-done
	require.ErrorContains(t, o.err, "a connection ended")
	require.Positive(t, o.r.Answered)
	require.Positive(t, o.r.Lost)
}

// TestNobodyListens: the error says so.
func TestNobodyListens(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	at := l.Addr().(*net.TCPAddr).AddrPort()
	require.NoError(t, l.Close())
	_, err = Run(context.Background(), Config{Jobs: 1, Window: 1, Messages: 1, Patience: 100 * time.Millisecond}, at)
	require.ErrorContains(t, err, "not all 1 jobs were connected")
	require.ErrorContains(t, err, "refused")
}

// TestSilence: a server that never replies is found out.
func TestSilence(t *testing.T) {
	c := Config{Jobs: 1, Window: 1, Messages: 1, Think: 3 * time.Second, Threads: 1, Patience: 200 * time.Millisecond}
	slow := c
	slow.Patience = 30 * time.Second
	s, err := Serve(slow, netip.MustParseAddrPort("127.0.0.1:0"))
	require.NoError(t, err)
	r, err := Run(context.Background(), c, s.Addr())
	require.ErrorIs(t, err, errLost)
	require.EqualValues(t, 1, r.Lost)
	require.NoError(t, s.Close())
}

func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := Both(ctx, Config{Jobs: 1, Window: 1, Messages: 1 << 30})
	require.ErrorIs(t, err, context.Canceled)
}

// TestInterruptedInTheMiddle: what was done is there, and what is in flight is not lost.
func TestInterruptedInTheMiddle(t *testing.T) {
	c := Config{Jobs: 2, Window: 8, Messages: 1 << 30}
	s, err := Serve(c, netip.MustParseAddrPort("127.0.0.1:0"))
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan Result, 1)
	go func() {
		r, err := Run(ctx, c, s.Addr())
		require.ErrorIs(t, err, context.Canceled)
		done <- r
	}()
	require.Eventually(t, func() bool { return s.Requests() > 100 }, 30*time.Second, time.Millisecond)
	cancel()
	r := <-done
	require.NoError(t, s.Close())
	require.True(t, r.Interrupted)
	require.Positive(t, r.Answered)
	require.Zero(t, r.Lost)
	require.LessOrEqual(t, r.InFlight, int64(2*8))
	require.Positive(t, r.P50)
	var b bytes.Buffer
	require.NoError(t, r.Write(&b))
	require.Contains(t, b.String(), "interrupted  after ")
}

func TestCheck(t *testing.T) {
	good := Config{Jobs: 1, Window: 1, Messages: 1}
	require.NoError(t, good.Check())
	for _, bad := range []func(c *Config){
		func(c *Config) { c.Jobs = 0 }, func(c *Config) { c.Jobs = jobsMax + 1 }, func(c *Config) { c.Window = 0 },
		func(c *Config) { c.Messages = 0 }, func(c *Config) { c.Length = -1 },
		func(c *Config) { c.Length = lengthMax + 1 }, func(c *Config) { c.Think = -1 },
		func(c *Config) { c.Workers = -1 }, func(c *Config) { c.Threads = -1 }, func(c *Config) { c.Patience = -1 },
		func(c *Config) { c.Threadpipe, c.Workers = true, 1 },
	} {
		c := good
		bad(&c)
		require.ErrorIs(t, c.Check(), ErrConfig)
		_, err := Both(context.Background(), c)
		require.ErrorIs(t, err, ErrConfig)
	}
}

// TestJSON: the names of the fields.
func TestJSON(t *testing.T) {
	r := Result{Client: &End{User: 1, System: 2}, ServerEnd: &End{User: 4}}
	require.InDelta(t, 7, r.CPU(), 1e-9)
	text, err := json.Marshal(&r)
	require.NoError(t, err)
	var m map[string]any
	require.NoError(t, json.Unmarshal(text, &m))
	for _, name := range []string{
		"transport", "jobs", "window", "messages_per_job", "think_us", "length", "answered", "lost", "msgs_per_s",
		"mb_per_s", "p50_us", "p99_us", "p999_us", "client", "server_end",
	} {
		require.Contains(t, m, name)
	}
}
