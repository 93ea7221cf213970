package connection

import (
	"context"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/session"
)

// TestTakesAsMuchAsTheLimit: a middle segment as long as it may be is taken, and with a trace
// context, which goes there too, it is one byte and the context shorter.
func TestTakesAsMuchAsTheLimit(t *testing.T) {
	cfg := session.Config{Self: entity.Client(1)}.WithDefaults()
	cfg.Limits.Middle = 100
	take := func(middle, trace int) error {
		m := &msg.Message{Middle: make([]byte, middle), TraceContext: strings.Repeat("t", trace)}
		return TakeMessage(m, &cfg, stillClock{})
	}
	require.NoError(t, take(100, 0))
	require.ErrorIs(t, take(101, 0), msg.ErrTooLarge)
	require.NoError(t, take(89, 10))
	require.ErrorIs(t, take(90, 10), msg.ErrTooLarge)
}

// TestStepOfALostTransport: a step of an authentication whose transport has ended by now is not run.
func TestStepOfALostTransport(t *testing.T) {
	c, w, _ := newTestConn(t, msg.LosslessClient(), 10)
	c.sh.Execute = func(netip.Addr, func()) error {
		require.Fail(t, "there is nothing to run")
		return nil
	}
	c.carryOut(session.Output{Kind: session.OutAuthenticate})
	c.MarkDown()
	w.run()
}

// TestFlushNotBegun: who has no time left is told so, though nothing has to be waited for.
func TestFlushNotBegun(t *testing.T) {
	c, w, _ := newTestConn(t, msg.LosslessClient(), 10)
	ctx, cancel := context.WithCancel(t.Context())
	require.NoError(t, c.Flush(ctx))
	cancel()
	require.ErrorIs(t, c.Flush(ctx), context.Canceled)
	c.MarkDown()
	w.run()
}

// TestPressureToldOnce: what the user knows already is not told again.
func TestPressureToldOnce(t *testing.T) {
	c, w, r := newTestConn(t, msg.LosslessClient(), 10)
	c.account.limits.HighWater = 100
	c.tellPressure()
	require.Empty(t, r.calls, "there was none before")
	require.NoError(t, c.Send(&msg.Message{Data: make([]byte, 100)}))
	c.tellPressure()
	c.tellPressure()
	require.Equal(t, []string{"event"}, r.calls)
	require.EqualValues(t, 1, c.stats().HighWaters.Load())
	c.MarkDown()
	w.run()
}

// TestQuiet: how long a connection has received nothing, by the stack's time; one that has
// never received anything has no such time.
func TestQuiet(t *testing.T) {
	c, w, _ := newTestConn(t, msg.LosslessClient(), 10)
	require.Zero(t, Look(c, 5e9).Quiet)
	c.traffic.received.Add(1)
	c.traffic.lastIn.Store(2e9)
	require.EqualValues(t, 3e9, Look(c, 5e9).Quiet)
	require.Zero(t, Look(c, 1e9).Quiet, "received since the caller read the clock")
	c.MarkDown()
	w.run()
}

// TestRegistryEmpty: a closed registry is empty when all connections have ended, dialed and
// accepted ones, and not before; who copies it leaves it unlocked.
func TestRegistryEmpty(t *testing.T) {
	var r Registry[*handshaking]
	r.Init()
	_, err := r.Add(&handshaking{id: 1}, nil, true)
	require.NoError(t, err)
	_, err = r.Add(&handshaking{id: 2}, nil, true)
	require.NoError(t, err)
	require.Len(t, r.Copy(), 2)
	require.True(t, r.mu.TryLock(), "Copy keeps the lock")
	r.mu.Unlock()
	empty := func() bool {
		select {
		case <-r.Empty():
			return true
		default:
			return false
		}
	}
	r.Close()
	require.False(t, empty())
	r.Ended()
	require.False(t, empty())
	r.Ended()
	require.True(t, empty())
}

// TestFailuresRemembered: a series that goes on is not forgotten for another, however long the
// connection has been down.
func TestFailuresRemembered(t *testing.T) {
	var f FailureLog
	f.Init(slog.New(slog.DiscardHandler), 10*time.Second)
	for i := range seriesMax {
		f.note(25*time.Second, failureKey{conn: uint64(i + 1)}, msg.ReasonRefused)
	}
	_, say := f.note(30*time.Second, failureKey{conn: seriesMax + 1}, msg.ReasonRefused)
	require.False(t, say, "no room")
	require.Len(t, f.series, seriesMax)
	f.note(30*time.Second+saidEvery, failureKey{conn: seriesMax + 1}, msg.ReasonRefused)
	require.Len(t, f.series, 1, "those are over")
}

// TestPolicies: a type has the policy that was set for it, the others the default one.
func TestPolicies(t *testing.T) {
	p := Policies{byType: map[entity.Type]msg.Policy{}}
	p.SetDefaultPolicy(msg.LossyClient())
	p.SetPolicy(entity.TypeOSD, msg.LosslessPeer())
	messages := &limit{left: 1}
	p.SetPolicyThrottlers(entity.TypeOSD, messages, nil)
	want := msg.LosslessPeer()
	want.ThrottleMessages = messages
	require.Equal(t, want, p.PolicyFor(entity.TypeOSD))
	require.Equal(t, msg.LossyClient(), p.PolicyFor(entity.TypeMDS))
	other, byType := p.All()
	require.Equal(t, msg.LossyClient(), other)
	require.Equal(t, map[entity.Type]msg.Policy{entity.TypeOSD: want}, byType)
}
