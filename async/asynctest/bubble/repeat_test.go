package bubble_test

import (
	"context"
	"runtime"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/asynctest/bubble"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/eventloop/simnet"
	"github.com/stretchr/testify/require"
)

// relay is a system in which one thing happens at a time: a message goes round through
// dispatchers that sleep, with cuts and a crash on its way.
func relay(t *testing.T, w *bubble.World) {
	const nodes, rounds = 4, 30
	all := make([]*node, nodes)
	home := make(chan int)
	for i := range nodes {
		all[i] = start(t, w.Host(string(rune('a'+i)), simnet.HostConfig{Workers: 2}), int64(i))
	}
	for i, n := range all {
		next := connect(t, n, all[(i+1)%nodes])
		n.dispatch = func(m *msg.Message) {
			time.Sleep(time.Millisecond)
			if i == 0 {
				home <- len(m.Front)
				return
			}
			_ = next.SendContext(n.host.Context(), text(string(m.Front)+"."))
		}
	}
	first := connect(t, all[0], all[1])
	for i := range rounds {
		if i%7 == 3 {
			lift := w.Add("cut", simnet.Isolate(string(rune('a'+i%nodes))))
			time.AfterFunc(time.Second, lift)
		}
		require.NoError(t, first.SendContext(t.Context(), text("go")))
		require.Equal(t, len("go")+nodes-1, <-home)
	}
	for _, n := range all {
		require.NoError(t, n.Shutdown(t.Context()))
	}
}

// crowd is a system in which many goroutines work at the same time.
func crowd(t *testing.T, w *bubble.World) {
	const nodes, messages = 4, 30
	all := make([]*node, nodes)
	for i := range nodes {
		all[i] = start(t, w.Host(string(rune('a'+i)), simnet.HostConfig{Workers: 2}), int64(i))
		all[i].dispatch = func(*msg.Message) { time.Sleep(time.Millisecond) }
	}
	for i, from := range all {
		for k, to := range all {
			c := connect(t, from, to)
			apart := time.Duration(nodes*i+k) * time.Microsecond // no two timers at the same instant
			w.Go(func(ctx context.Context) {
				for range messages {
					_ = c.SendContext(ctx, text("hello"))
					time.Sleep(10*time.Millisecond + apart)
				}
			})
		}
	}
	time.Sleep(100 * time.Millisecond)
	lift := w.Add("cut", simnet.Partition([]string{"a", "b"}, []string{"c", "d"}))
	time.AfterFunc(time.Second, lift)
	for _, n := range all {
		w.Until("all", time.Minute, func() bool { return n.got.Load() == nodes*messages })
	}
	for _, n := range all {
		require.NoError(t, n.Shutdown(t.Context()))
	}
}

// hashes runs f with a seed several times, and returns the hash that most runs have, and
// how many do.
func hashes(t *testing.T, runs int, seed uint64, f func(*testing.T, *bubble.World)) (hash uint64, most int) {
	count := map[uint64]int{}
	for range runs {
		bubble.Test(t, seed, simnet.Config{}, func(t *testing.T, w *bubble.World) {
			f(t, w)
			count[w.Hash()]++
		})
	}
	for h, n := range count {
		if n > most {
			hash, most = h, n
		}
	}
	return hash, most
}

// TestRepeats: on one processor the network does the same with the same seed, and something
// else with another one. Where the system takes the processor away for 10 ms, in the middle
// of an event, a run may differ: that is rare even on a busy machine.
func TestRepeats(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	const runs = 20
	for name, f := range map[string]func(*testing.T, *bubble.World){
		"relay": relay, "crowd": crowd, "streams": echoed,
	} {
		t.Run(name, func(t *testing.T) {
			one, most := hashes(t, runs, 1, f)
			t.Logf("%d of %d runs are the same", most, runs)
			require.GreaterOrEqual(t, most, runs*3/4)
			two, _ := hashes(t, 3, 2, f)
			require.NotEqual(t, one, two)
		})
	}
}
