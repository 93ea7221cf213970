package workload

import (
	"context"
	"errors"
	"os"
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// fakes are contestants that need no network: a client answers itself.
func fakes() []Contestant {
	serve := func(Options) (Server, error) { return fakeServer{}, nil }
	dial := func(string, Options) (Client, error) { return &fakeClient{}, nil }
	return []Contestant{
		{Name: "good", Serve: serve, Dial: dial},
		{Name: "environment", Env: []string{"FAKE=1"}, Serve: serve, Dial: func(string, Options) (Client, error) {
			if os.Getenv("FAKE") != "1" {
				return nil, errors.New("no FAKE")
			}
			return &fakeClient{}, nil
		}},
		{Name: "skipped", Skip: func(Scenario) string { return "not today" }},
		{Name: "no server", Serve: func(Options) (Server, error) { return nil, errors.New("no port") }},
		{Name: "starved", Serve: serve,
			Dial: func(string, Options) (Client, error) { return &fakeClient{deaf: 1}, nil }},
		{Name: "crash", Serve: serve, Dial: func(string, Options) (Client, error) { os.Exit(3); return nil, nil }},
		{Name: "sick at the end", Serve: serve,
			Dial: func(string, Options) (Client, error) { return &fakeClient{sick: true}, nil }},
	}
}

func TestMain(m *testing.M) {
	RunChild(append(fakes(), hung))
	// Under the race detector every process would wait for a second at its end.
	os.Setenv("GORACE", os.Getenv("GORACE")+" atexit_sleep_ms=0")
	os.Exit(m.Run())
}

type fakeServer struct{}

func (fakeServer) Addr() string { return "nowhere" }
func (fakeServer) Stop() error  { return nil }

type fakeClient struct {
	deaf  int // this connection gets no answers; 0: all do
	sick  bool
	lanes []chan int
	wg    sync.WaitGroup
}

func (c *fakeClient) Connect(n int, answered func(conn, slot int)) error {
	for i := range n {
		ch := make(chan int, 1000)
		c.lanes = append(c.lanes, ch)
		c.wg.Go(func() {
			for slot := range ch {
				if slot < 0 {
					return
				}
				if c.deaf == 0 || c.deaf != i {
					answered(i, slot)
				}
				runtime.Gosched() // it never waits, others want their turn
			}
		})
	}
	return nil
}

func (c *fakeClient) Send(conn, slot int, _ []byte) error {
	c.lanes[conn] <- slot
	return nil
}

func (c *fakeClient) Stop() error {
	for _, ch := range c.lanes {
		ch <- -1
	}
	c.wg.Wait()
	if c.sick {
		return errors.New("sick")
	}
	return nil
}

func TestRun(t *testing.T) {
	scenarios := []Scenario{{Name: "busy", Connections: 2, Size: 10, Window: 3},
		{Name: "still", Connections: 2, Size: 0, Window: 0}}
	res, err := Run(context.Background(), Config{
		Contestants: fakes(), Scenarios: scenarios, Reference: "good", Rounds: 2, Seconds: 0.02,
	})
	require.NoError(t, err)
	rows := res.Rows
	require.Len(t, rows, 2*len(fakes()))
	require.Len(t, res.Samples, 2*2*len(fakes()))
	for i, c := range fakes() {
		require.Equal(t, c.Name, rows[i].Contestant)
		require.Equal(t, "busy", rows[i].Scenario)
	}
	for _, r := range rows[:2] {
		require.Empty(t, r.Failed)
		require.Equal(t, 2, r.Rounds)
		require.Positive(t, r.Msgs)
		require.InDelta(t, r.Msgs*10/1e6, r.MB, 1e-9)
		require.LessOrEqual(t, r.P50, r.P99)
		require.LessOrEqual(t, r.P99, r.P999)
		require.Positive(t, r.CPU)
		require.Positive(t, r.Threads)
		require.Positive(t, r.Goroutines)
		require.Positive(t, r.Ratio)
		require.Positive(t, r.PeakRSS)
		require.Positive(t, r.ServerCPU)
		require.Less(t, r.ServerCPU, r.CPU)
		require.GreaterOrEqual(t, r.Allocs, 0.0)
		require.GreaterOrEqual(t, r.CtxSwitches, 0.0)
	}
	for _, x := range res.Samples {
		require.Equal(t, x.Skipped != "", x.Contestant == "skipped")
		require.Equal(t, x.Failed == "" && x.Skipped == "", x.Rounds == 1)
	}
	require.EqualValues(t, 1, rows[0].Ratio)
	require.Equal(t, "not today", rows[2].Skipped)
	require.Zero(t, rows[2].Rounds)
	for i, want := range map[int]string{
		3: "server: no port", 4: "1 of 2 connections had no answer", 5: "client: it ended", 6: "sick",
	} {
		require.Contains(t, rows[i].Failed, want)
		require.Zero(t, rows[i].Rounds, want)
		require.Zero(t, rows[i].Ratio, want)
	}
	still := rows[len(fakes())]
	require.Equal(t, 2, still.Rounds)
	require.Zero(t, still.Msgs)
	require.Positive(t, still.Threads)
}

func TestRunEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	res, err := Run(ctx, Config{Contestants: fakes(), Scenarios: Scenarios(), Rounds: 1, Seconds: 1})
	require.ErrorIs(t, err, context.Canceled)
	require.Empty(t, res.Rows)
}

// TestRunInterrupted: what was measured until then is there, and what is missing is marked.
func TestRunInterrupted(t *testing.T) {
	contestants := []Contestant{fakes()[0], fakes()[2], fakes()[1]}
	scenarios := []Scenario{
		{Name: "whole", Connections: 2, Size: 10, Window: 3}, {Name: "part", Connections: 2, Size: 10, Window: 3},
		{Name: "never", Connections: 2, Size: 10, Window: 3},
	}
	// The rounds of part are good and second, second and good, second and good.
	for _, c := range []struct{ round, begun, good, second int }{
		{0, 0, 0, 0}, {0, 1, 1, 0}, {1, 0, 1, 1}, {1, 1, 1, 2}, {2, 1, 2, 3},
	} {
		ctx, cancel := context.WithCancel(context.Background())
		begun := 0
		res, err := Run(ctx, Config{
			Contestants: contestants, Scenarios: scenarios, Reference: "good", Rounds: 3, Seconds: 0.02,
			Progress: func(s Scenario, round int, _ string) {
				require.NotEqual(t, "never", s.Name)
				if s.Name != "part" || round != c.round {
					return
				}
				if begun == c.begun {
					cancel() // this round is killed
				}
				begun++
			},
		})
		require.ErrorIs(t, err, context.Canceled)
		want := []int{3, 0, 3}
		if c.good > 0 || c.second > 0 {
			want = append(want, c.good, 0, c.second)
		}
		var rounds []int
		for i, r := range res.Rows {
			rounds = append(rounds, r.Rounds)
			require.Empty(t, r.Failed)
			require.Equal(t, r.Contestant == "skipped", r.Skipped != "", "%+v", r)
			require.Equal(t, i >= 3 && r.Contestant != "skipped" && r.Rounds < 3, r.Partial, "%+v", r)
		}
		require.Equal(t, want, rounds, "%+v", c)
		n := 0
		for _, x := range res.Samples {
			require.False(t, x.Partial)
			n += x.Rounds
		}
		require.Equal(t, 6+c.good+c.second, n)
	}
}

func TestMedian(t *testing.T) {
	require.Zero(t, median(nil))
	require.EqualValues(t, 2, median([]float64{9, 1, 2}))
	require.EqualValues(t, 3, median([]float64{4, 1, 2, 9}))
}
