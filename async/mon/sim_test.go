package mon

import (
	"context"
	"fmt"
	"io/fs"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/mon/wire"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// answers are those of the commands of a sim, by their texts.
type answers map[string][]string

// goes begins a command whose answer is noted.
func (s *sim) goes(got answers, cmd string) {
	s.t.Helper()
	require.NoError(s.t, s.c.Go(cmd, []byte("!"), func(a Answer, err error) {
		text := string(a.Output)
		if err != nil {
			text = err.Error()
		}
		got[cmd] = append(got[cmd], text)
	}))
}

// TestEachCommandIsAnsweredOnce: monitors are killed and come back, go silent, and connections
// are cut, under commands and a subscription. Each command gets its own answer, once; maps come
// without a gap; no ticket ends in ten lives of a login.
func TestEachCommandIsAnsweredOnce(t *testing.T) {
	seeds := uint64(3)
	if testing.Short() {
		seeds = 1
	}
	for seed := range seeds {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			cfg := Config{OSDMap: true, AnswerTimeout: 5 * time.Second, PauseMax: time.Second}
			s := newSim(t, seed, cfg, false, nil)
			got := answers{}
			const rounds = 600
			for n := range rounds {
				for i := range 3 {
					s.goes(got, fmt.Sprint(n, "/", i))
				}
				at := max(s.at(), 0)
				switch n % 12 {
				case 3:
					s.Cut(at)
				case 6:
					s.Kill(at)
				case 7:
					for i := range mons {
						if s.Nodes[i].Down {
							s.Restart(i)
						}
					}
				case 10:
					s.fakes[at].silent = true
				case 11:
					for _, f := range s.fakes {
						f.silent = false
					}
				}
				if n%5 == 0 {
					s.epoch++
					for _, f := range s.fakes {
						f.publish()
					}
				}
				s.Run(time.Second)
			}
			s.Until("all answers", func() bool { return len(got) == 3*rounds })
			for cmd, a := range got {
				require.Equal(t, []string{cmd + "!"}, a)
			}
			s.Until("the last map", func() bool { return s.c.OSDMap().Epoch() == s.epoch })
			maps := s.c.OSDMap()
			require.Equal(t, string(osdMapBytes(maps.Full.Epoch)), string(maps.Full.Bytes))
			for i, x := range maps.Incremental {
				require.Equal(t, maps.Full.Epoch+uint32(i)+1, x.Epoch)
			}
			require.NoError(t, s.c.state.refused)
			require.Zero(t, s.c.asked.Load())
		})
	}
}

// TestSilentMonitors: a monitor that lives and does not answer is left after AnswerTimeout, one
// that gives no sign of life after KeepaliveTimeout.
func TestSilentMonitors(t *testing.T) {
	s := newSim(t, 1, Config{}, false, nil)
	s.Until("a session", s.up)
	first := s.at()
	s.fakes[first].silent = true
	got := answers{}
	s.goes(got, "a")
	s.Run(29 * time.Second)
	require.Empty(t, got)
	s.Run(3 * time.Second)
	require.Equal(t, answers{"a": {"a!"}}, got)
	require.NotEqual(t, first, s.at())

	second := s.at()
	s.fakes[first].silent = false
	s.Partition([]int{second}, []int{mons})
	s.Run(25 * time.Second)
	require.Equal(t, second, s.at())
	s.goes(got, "b")
	s.Run(20 * time.Second)
	require.Equal(t, []string{"b!"}, got["b"])
	require.NotEqual(t, second, s.at())
}

// TestTicketsAreKept: without a command, the session lasts for many lives of a login.
func TestTicketsAreKept(t *testing.T) {
	s := newSim(t, 2, Config{}, false, nil)
	s.Until("a session", s.up)
	conn, id := s.c.Mon(), s.x.GlobalID()
	for range 100 {
		s.Run(loginLife / 10)
		now := s.x.Now()
		require.WithinRange(t, s.x.RenewAt(), now.Add(-time.Second), now.Add(loginLife), "a ticket is overdue")
	}
	require.Equal(t, conn, s.c.Mon())
	require.Equal(t, id, s.x.GlobalID())
}

// TestErrorsOfCommands: what is not carried out, and bounds.
func TestErrorsOfCommands(t *testing.T) {
	s := newSim(t, 3, Config{CommandsMax: 2}, false, nil)
	for i := range mons {
		s.fakes[i].silent = true
	}
	got := answers{}
	var err error
	require.NoError(t, s.c.Go("fail", nil, func(_ Answer, e error) { err = e }))
	s.goes(got, "b")
	require.ErrorIs(t, s.c.Go("c", nil, nil), ErrBusy)
	s.Run(time.Second)
	for i := range mons {
		s.fakes[i].silent = false
	}
	s.Until("answers", func() bool { return err != nil && len(got) == 1 })
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.EqualError(t, err, "mon: the monitor answers -2 (no such entry): there is no such thing")

	s.Isolate(mons)
	s.goes(got, "d")
	s.Run(time.Second)
	require.NoError(t, s.c.Close())
	require.NoError(t, s.c.Close())
	s.Run(time.Second)
	require.Equal(t, []string{ErrClosed.Error()}, got["d"])
	require.ErrorIs(t, s.c.Go("e", nil, nil), ErrClosed)
	require.ErrorIs(t, s.c.Ready(context.Background()), ErrClosed)
	require.Nil(t, s.c.Mon())
	require.Empty(t, s.c.calls)
}

// TestAnAnswerOverTheLimit is an error of its command alone, after two sessions, and no loop.
func TestAnAnswerOverTheLimit(t *testing.T) {
	s := newSim(t, 4, Config{}, false, func(ac *async.Config) { ac.Limits.Data = 64 << 10 })
	s.Until("a session", s.up)
	got, sessions := answers{}, s.Nodes[mons].Stats().Connected
	for _, cmd := range []string{"a", "large", "b"} {
		s.goes(got, cmd)
	}
	s.Until("answers", func() bool { return len(got) == 3 })
	s.Run(time.Minute)
	require.Equal(t, []string{"a!"}, got["a"])
	require.Equal(t, []string{"b!"}, got["b"])
	require.Len(t, got["large"], 1)
	require.Contains(t, got["large"][0], ErrTooLarge.Error())
	require.Contains(t, got["large"][0], "Data of 100000 bytes, the limit is 65536")
	require.LessOrEqual(t, s.Nodes[mons].Stats().Connected-sessions, uint64(6), "two calls for a session")
}

// TestRefused: commands that wait, and Ready, hear why no monitor lets this side in.
func TestRefused(t *testing.T) {
	s := newSim(t, 5, Config{}, true, nil)
	got := answers{}
	s.goes(got, "a")
	s.Until("an answer", func() bool { return len(got) == 1 })
	require.Contains(t, got["a"][0], ErrRefused.Error())
	require.ErrorIs(t, s.c.Ready(context.Background()), ErrRefused)
	var failed *msg.ConnectError
	require.ErrorAs(t, s.c.Ready(context.Background()), &failed)
	require.Equal(t, msg.ReasonAuth, failed.Reason)
	s.Run(10 * time.Minute)
	require.Less(t, s.Nodes[mons].Stats().ConnectFailures[msg.ReasonAuth], uint64(150), "pauses between rounds")
}

// TestAnotherCluster: a monitor of another cluster is left.
func TestAnotherCluster(t *testing.T) {
	s := newSim(t, 6, Config{}, false, nil)
	s.Until("a session", s.up)
	first := s.at()
	other := &fakeCluster{monMap: wire.MonMap{FSID: wire.UUID{9}, Epoch: 1}, epoch: 1}
	for i := range mons {
		if i != first {
			s.fakes[i].c = other
		}
	}
	s.Kill(first)
	s.Run(10 * time.Second)
	require.ErrorContains(t, s.c.state.last, "and this client's is 01020300")
	s.Restart(first)
	s.Until("the first cluster", func() bool { return s.at() == first })
	require.Equal(t, wire.UUID{1, 2, 3}, s.c.MonMap().FSID)
}
