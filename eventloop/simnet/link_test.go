package simnet

import (
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Samples come one after the other, from the first with SetLink, and over again.
func TestLatencyFromSamples(t *testing.T) {
	samples, err := ReadSamples(strings.NewReader("# measured\n1ms\n\n 2.5ms \n4ms\n"))
	require.NoError(t, err)
	require.Equal(t, []time.Duration{time.Millisecond, 2500 * time.Microsecond, 4 * time.Millisecond}, samples)
	n := New(1, Config{Link: LinkConfig{Samples: samples}})
	n.SetLink("later", "x", LinkConfig{Samples: samples})
	for _, want := range append(samples, samples...) {
		require.Equal(t, want, n.link(n.machine("later"), n.machine("x")).delay(0, 1))
	}
	n.SetLink("x", "later", LinkConfig{Bandwidth: 1e9})
	require.Contains(t, samples, n.link(n.machine("x"), n.machine("later")).delay(0, 0).Truncate(100*time.Microsecond))
	starts := map[time.Duration]bool{}
	for i := range 20 {
		starts[n.link(n.machine("later"), n.machine(strings.Repeat("y", i+2))).delay(0, 1)] = true
	}
	require.Len(t, starts, 3, "other links begin elsewhere")
	require.Equal(t, 10*time.Microsecond, n.link(n.machine("x"), n.machine("x")).delay(0, 1))

	for text, want := range map[string]string{
		"1ms\nsoon\n": "line 2", "1ms\n\n-1s": "line 3", "5": "line 1", strings.Repeat("x", 1<<17): "token too long",
	} {
		_, err := ReadSamples(strings.NewReader(text))
		require.ErrorContains(t, err, want)
	}
}

// What finds the line full comes by a retransmission.
func TestQueue(t *testing.T) {
	l := &link{cfg: &LinkConfig{Latency: Fixed(0), Bandwidth: 1e6, Queue: 2000}}
	require.Equal(t, 5064*time.Microsecond, l.delay(0, 5000), "an idle line takes all")
	require.Equal(t, 5064*time.Microsecond+564*time.Microsecond+retransmit, l.delay(0, 500))
	l.free = 0
	require.Less(t, l.delay(0, 1000), retransmit)
	require.Less(t, l.delay(0, 800), retransmit)
	require.Greater(t, l.delay(0, 800), retransmit)
	negative := &link{cfg: &LinkConfig{Latency: func(*rand.Rand) time.Duration { return -1 }}}
	require.Zero(t, negative.delay(5, 5))
}

func TestGroupsAndLoss(t *testing.T) {
	g := Groups([]string{"a", "b"}, []string{"c"}, []string{"d"})
	for _, test := range []struct {
		from, to string
		stalls   bool
	}{{"a", "b", false}, {"a", "c", true}, {"c", "d", true}, {"d", "a", true}, {"x", "a", false}, {"c", "x", false}} {
		require.Equal(t, test.stalls, g(&Packet{From: test.from, To: test.to}).act == actStall, "%v", test)
	}
	require.Panics(t, func() { Groups([]string{"a"}, []string{"a"}) })

	l := newLab(t, 1, Config{})
	c, s := l.pair()
	l.net.Add("loss", Loss(rand.New(rand.NewPCG(1, 1)), 0.3))
	start := l.net.Now()
	for range 50 {
		c.send("0123456789")
		require.NoError(t, l.net.Run(time.Millisecond))
	}
	l.until(func() bool { return len(s.got) == 500 })
	require.Equal(t, strings.Repeat("0123456789", 50), string(s.got))
	require.Greater(t, s.when-start, 200*time.Millisecond)
}

// One end of a connection is gone and the other does not know.
func TestForget(t *testing.T) {
	l := newLab(t, 1, Config{})
	c, s := l.pair()
	l.net.Conns()[0].Forget("b")
	require.NoError(t, l.net.Run(time.Hour))
	require.ErrorIs(t, s.err, syscall.ETIMEDOUT)
	require.NoError(t, c.err)
	require.Len(t, l.net.Conns(), 1)
	c.send("anybody there?")
	l.until(func() bool { return c.err != nil })
	require.ErrorIs(t, c.err, syscall.ECONNRESET)
	require.Empty(t, l.net.Conns())
}

// What is under way can be seen.
func TestInFlight(t *testing.T) {
	l := newLab(t, 1, Config{Smooth: true})
	c, s := l.pair()
	l.net.SetLink("a", "b", LinkConfig{Latency: Fixed(time.Second)})
	c.send("hello")
	require.NoError(t, l.net.Run(100*time.Millisecond))
	c.send("world")
	require.NoError(t, l.net.Run(100*time.Millisecond))
	l.net.Add("wall", Isolate("b"))
	c.send("!")
	require.NoError(t, l.net.Run(100*time.Millisecond))
	all := l.net.InFlight()
	require.Len(t, all, 3)
	require.Equal(t, "hello", string(all[0].Data))
	require.Equal(t, int64(5), all[1].Offset)
	require.InDelta(t, 0.1, (all[1].Arrives - all[0].Arrives).Seconds(), 0.001)
	require.Equal(t, "!", string(all[2].Data))
	require.Zero(t, all[2].Arrives)
	require.Equal(t, "held 1 by rule wall", all[2].HeldBy)
	require.Contains(t, l.net.Netstat(), "sent 11 under way 11 held 1 by rule wall")
	l.net.LiftAll()
	l.until(func() bool { return string(s.got) == "helloworld!" })
	require.Empty(t, l.net.InFlight())
}

// Dials that a rule stalls for ever leave nothing behind.
func TestStalledDialsAreForgotten(t *testing.T) {
	l := newLab(t, 1, Config{})
	f := l.net.Add("wall", Isolate("b"))
	for range 1000 {
		c := l.dial()
		l.until(func() bool { return c.err != nil })
	}
	require.LessOrEqual(t, len(f.held.all), 16)
	require.Empty(t, l.net.Conns())
	waiting := l.dial()
	require.NoError(t, l.net.Run(time.Millisecond))
	f.Lift()
	l.until(func() bool { return waiting.up })
}

// A connect that was given up does not happen when the host is back.
func TestAbandonedDialAndRestart(t *testing.T) {
	l := newLab(t, 1, Config{Smooth: true})
	l.b.Crash()
	c := l.dial()
	require.NoError(t, l.net.Run(10*time.Microsecond))
	c.do(func() { c.t.Close() }) // while the SYN is under way
	require.NoError(t, l.net.Run(time.Minute))
	l.b = l.b.Restart()
	l.serve()
	require.NoError(t, l.net.Run(time.Minute))
	require.Empty(t, l.accepted)
	require.Empty(t, l.net.Conns())
}

// A connect that is reset on its way does not happen.
func TestKillDuringConnect(t *testing.T) {
	l := newLab(t, 1, Config{Smooth: true})
	c := l.dial()
	require.NoError(t, l.net.Run(10*time.Microsecond))
	l.net.Conns()[0].Kill()
	require.NoError(t, l.net.Run(time.Minute))
	require.ErrorIs(t, c.err, syscall.ECONNRESET)
	require.Empty(t, l.accepted)
}

// Who sends to a connection that is no more repeats it until the RST arrives.
func TestAnswerIsNotLost(t *testing.T) {
	l := newLab(t, 1, Config{})
	c, _ := l.pair()
	wall := l.net.Add("wall", OneWay(l.b.Name(), l.a.Name()))
	l.b.Crash()
	l.b = l.b.Restart()
	c.send("hello")
	require.NoError(t, l.net.Run(time.Minute))
	require.NoError(t, c.err)
	wall.Lift()
	l.until(func() bool { return c.err != nil })
	require.ErrorIs(t, c.err, syscall.ECONNRESET)
}
