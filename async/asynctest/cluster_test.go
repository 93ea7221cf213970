package asynctest_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/asynctest"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/dispatch"
	"github.com/asyncmsgr/asyncmsgr/eventloop/simnet"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	msg.PoisonBuffers = true
	goleak.VerifyTestMain(m, goleak.IgnoreCurrent()) // those of the default pool of ants
}

// exchange has three nodes send to each other while connections are cut, and
// returns the hash of all that happened.
func exchange(t *testing.T, seed uint64, change func(i int, cfg *async.Config)) uint64 {
	c := asynctest.NewCluster(t,
		asynctest.Options{Seed: seed, N: 3, Workers: 2, Network: simnet.Config{ShortWrites: 16}, Config: change})
	rnd := rand.New(rand.NewPCG(seed, 1))
	for i := range 60 {
		from := rnd.IntN(3)
		require.NoError(t, c.Send(from, (from+1+rnd.IntN(2))%3, rnd.IntN(20_000), uint8(1+rnd.IntN(255))))
		c.Run(time.Duration(rnd.IntN(500)) * time.Microsecond)
		if i%10 == 9 {
			c.Cut(rnd.IntN(3))
		}
	}
	c.Until("everything", c.Complete)
	c.CheckExactlyOnce()
	c.Run(time.Second)
	c.CheckNothingHeld()
	return c.Net.Hash()
}

func TestSameSeedSameTrace(t *testing.T) {
	for seed := range uint64(5) {
		h := exchange(t, seed, nil)
		require.Equal(t, h, exchange(t, seed, nil), "seed %d", seed)
		require.NotEqual(t, h, exchange(t, seed+1000, nil))
	}
}

// The same with dispatch.Inline, driven by the test between events.
func TestSameSeedSameTraceInline(t *testing.T) {
	run := func(seed uint64) uint64 {
		var inline dispatch.Inline
		c := asynctest.NewCluster(t,
			asynctest.Options{Seed: seed, N: 3, Config: func(_ int, cfg *async.Config) { cfg.Executor = &inline }})
		t.Cleanup(func() { inline.Run() })
		for i := range 30 {
			require.NoError(t, c.Send(i%3, (i+1)%3, 100*i, 0))
			if i%10 == 5 {
				c.Cut(i % 3)
			}
		}
		c.Until("everything", func() bool {
			inline.Run()
			return c.Complete()
		})
		c.CheckExactlyOnce()
		inline.Run()
		return c.Net.Hash()
	}
	require.Equal(t, run(1), run(1))
	require.NotEqual(t, run(1), run(2))
}
