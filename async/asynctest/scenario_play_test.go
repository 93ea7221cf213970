package asynctest_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/asynctest"
	"github.com/asyncmsgr/asyncmsgr/eventloop/simnet"
	"github.com/stretchr/testify/require"
)

// hashOf runs a text from its beginning to its end.
func hashOf(t *testing.T, text string, seed uint64) uint64 {
	t.Helper()
	s, err := asynctest.ParseScenario("x", []byte(text))
	require.NoError(t, err, text)
	s.Seed = seed
	r := s.Run(nil)
	require.NoError(t, r.Err, text)
	return r.Hash
}

func play(t *testing.T, text string, seed uint64) *asynctest.Play {
	t.Helper()
	s, err := asynctest.ParseScenario("x", []byte(text))
	require.NoError(t, err, text)
	s.Seed = seed
	p := s.Play(func(o *asynctest.Options) { o.Network.Framer = asynctest.NewFramer })
	t.Cleanup(p.Drop)
	return p
}

// busyText has a bit of everything that takes time.
const busyText = `nodes 5 policy=lossless_peer
node slow policy=lossless_peer throttle=4000
links latency=5ms spread=3ms
busy slow n1 3ms
traffic ring every=7ms size=300
traffic gossip every=11ms peers=2 prio=63
traffic n1 slow every=2ms size=900 count=100
faults 3/s kinds=cut,stall,pause
until delivered n1 slow
run 700ms
stall n1 n2
pause n3
clock n4 skew=3s drift=20ms
send n5 n1 20 size=20000
at 1500ms
release n2 n1
resume n3
traffic stop
heal
run 3s
check exactly_once
`

// The hash does not depend on how a run is cut into pieces, nor on a framer and somebody
// who watches.
func TestPlayPieces(t *testing.T) {
	texts := map[string]string{"busy": busyText}
	for file, s := range scenarios(t) {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		_ = s
		texts[file] = string(text)
	}
	for name, text := range texts {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(3) {
				want := hashOf(t, text, seed)
				rnd := rand.New(rand.NewPCG(seed, 3))
				p := play(t, text, seed)
				events := 0
				p.Cluster().Net.Watch(func(*simnet.Event) { events++ })
				for tries := 0; !p.Done(); tries++ {
					require.NoError(t, p.Err(), "seed %d\n%s", seed, strings.Join(p.Log(), "\n"))
					require.Less(t, tries, 1_000_000)
					switch rnd.IntN(3) {
					case 0:
						require.True(t, p.Step())
					case 1:
						p.Finish(func() bool { return rnd.IntN(4) == 0 })
					default: // not beyond the end, which is to be met
						p.Finish(func() bool { return true })
						if at, ok := p.Cluster().Net.Next(); ok && !p.Done() {
							p.Advance(p.Now()+time.Duration(rnd.Int64N(int64(at-p.Now())+1)), nil)
						}
					}
				}
				require.Equal(t, want, p.Cluster().Net.Hash(), "seed %d", seed)
				require.Positive(t, events)
				require.NoError(t, p.End().Err)
			}
		})
	}
}

// What is put in becomes lines of the text, which gives the same hash; and so it is with the
// time that passes after the last step.
func TestPlayDo(t *testing.T) {
	acts := []string{"cut n1 n2", "stall n2 n3", "release n3 n2", "partition n1 n2 | n3 slow", "heal", "kill n4",
		"restart n4", "pause n5", "resume n5", "clock n1 skew=-5s drift=100ms", "send n1 n2 7 size=5000 prio=200",
		"stick slow", "free slow", "traffic n3 n4 every=3ms", "traffic stop", "faults 5/s", "faults none",
		"mark_down n2 n1", "crash n3", "hold n1 n5 MESSAGE", "release n1 n5", "busy n2 n1 10ms", "print n1", "cut n1"}
	seeds := uint64(5)
	if testing.Short() {
		seeds = 1
	}
	for seed := range seeds {
		rnd := rand.New(rand.NewPCG(seed, 4))
		text := busyText[:strings.Index(busyText, "stall n1")] +
			"at 1500ms\ntraffic random every=20ms\nrun 300ms\n"
		p := play(t, text, seed)
		for range 25 {
			if rnd.IntN(3) > 0 {
				p.Advance(p.Now()+time.Duration(rnd.Int64N(int64(150*time.Millisecond))), nil)
			}
			for range rnd.IntN(3) {
				p.Step()
			}
			if p.Err() != nil {
				break
			}
			before, now := p.Text(), p.Now()
			if err := p.Do(acts[rnd.IntN(len(acts))]); err != nil { // such as a kill of the dead
				require.Error(t, p.Err(), "%v", err)
				p = play(t, before, seed)
				require.True(t, p.Advance(now, nil), "%v", p.Err())
			}
			if rnd.IntN(8) == 0 {
				got := p.Text()
				require.Equal(t, hashOf(t, got, seed), p.Cluster().Net.Hash(), "seed %d:\n%s", seed, got)
			}
		}
		got := p.Text()
		require.Equal(t, hashOf(t, got, seed), p.Cluster().Net.Hash(), "seed %d:\n%s", seed, got)
	}
}

// The future of a text is still there when something was put in.
func TestPlayKeepsTheFuture(t *testing.T) {
	p := play(t, "node a\nnode b # two\nsend a b 3\nrun 5s # long\nuntil delivered a b\nsend b a\nat 10s\n", 1)
	require.True(t, p.Advance(2*time.Second, nil))
	require.NoError(t, p.Do("cut a b"))
	require.NoError(t, p.Do("  send a b 2  "))
	require.Equal(t, "node a\nnode b # two\nsend a b 3\nat 2s\ncut a b\nsend a b 2\n", p.Text())
	require.Equal(t, "node a\nnode b # two\nsend a b 3\nat 2s\ncut a b\nsend a b 2\nrun 3s\nuntil delivered a b\n"+
		"send b a\nat 10s\n", p.Whole())
	require.True(t, p.Advance(7*time.Second, nil))
	require.NoError(t, p.Do("cut b"))
	require.True(t, p.Advance(12*time.Second, nil))
	require.True(t, p.Done())
	want := "node a\nnode b # two\nsend a b 3\nat 2s\ncut a b\nsend a b 2\nrun 3s\nuntil delivered a b\n" +
		"send b a\nat 7s\ncut b\nat 10s\nat 12s\n"
	require.Equal(t, want, p.Text())
	require.Equal(t, strings.TrimSuffix(want, "at 12s\n"), p.Whole())
	require.NoError(t, p.Do("check"))
	require.Equal(t, hashOf(t, p.Text(), 1), p.Cluster().Net.Hash())
}

// Time passes between two steps that were put in, even if nothing happens meanwhile.
func TestPlayQuiet(t *testing.T) {
	p := play(t, "node a\nnode b\nrun 3s\n", 1)
	for i, at := range []time.Duration{time.Second, time.Second, 2 * time.Second, 4 * time.Second, 5 * time.Second} {
		if at > p.Now() {
			require.True(t, p.Advance(at, nil))
		}
		require.NoError(t, p.Do(fmt.Sprintf("clock a skew=%ds", i)))
	}
	want := "node a\nnode b\nat 1s\nclock a skew=0s\nclock a skew=1s\nat 2s\nclock a skew=2s\nrun 1s\n" +
		"at 4s\nclock a skew=3s\nat 5s\nclock a skew=4s\n"
	require.Equal(t, want, p.Text())
	require.Equal(t, hashOf(t, want, 1), p.Cluster().Net.Hash())
	require.True(t, p.Advance(6*time.Second, nil))
	require.Equal(t, want+"at 6s\n", p.Text())
}

// A line that makes no sense changes nothing, and says where.
func TestPlayBadLines(t *testing.T) {
	p := play(t, "node a\nnode b\nrun 1s\n", 1)
	require.True(t, p.Advance(time.Second, nil))
	was := p.Text()
	for line, want := range map[string]string{
		"fly a":          `x:1:1: unknown step "fly"`,
		"cut a c":        `x:1:7: there is no node "c"`,
		"":               `x:1:1: a step is missing`,
		"# nothing":      `x:1:1: a step is missing`,
		"cut a b\nheal":  `x:1:1: a step is one line`,
		"run 5s":         `x:1:1: run cannot be put in: it is no step of a moment`,
		"node c":         `x:1:1: node cannot be put in: it is no step of a moment`,
		"cut a b at":     `x:1:11: cut: a byte is missing`,
		"clock a skew=x": `x:1:14: "x" is no duration from -876000h0m0s to 876000h0m0s`,
	} {
		err := p.Do(line)
		var at *asynctest.ScenarioError
		require.ErrorAs(t, err, &at, line)
		require.Equal(t, want, err.Error())
		require.NoError(t, p.Err())
		require.Equal(t, was, p.Text())
	}
}

// A step that fails ends the run where it is, with the step in the text.
func TestPlayFails(t *testing.T) {
	text := "node a\nnode b\nsend a b\nrun 1s\nexpect delivered a b 2\nrun 5s\n"
	p := play(t, text, 1)
	require.False(t, p.Advance(3*time.Second, nil))
	require.EqualError(t, p.Err(), "x:5:1: expect delivered a b 2: it is 1 (seed 1)")
	require.Equal(t, time.Second, p.Now())
	require.Equal(t, "node a\nnode b\nsend a b\nrun 1s\nexpect delivered a b 2\n", p.Text())
	require.False(t, p.Step())
	require.False(t, p.Advance(9*time.Second, nil))
	require.Error(t, p.Do("cut a b"))
	s, err := asynctest.ParseScenario("x", []byte(text))
	require.NoError(t, err)
	r := s.Run(nil)
	require.Equal(t, p.Err(), r.Err)
	require.Equal(t, p.Cluster().Net.Hash(), r.Hash)

	p = play(t, "node a\nnode b\nuntil delivered a b\n", 1)
	require.False(t, p.Advance(time.Second, nil))
	var stuck *asynctest.ScenarioError
	require.ErrorAs(t, p.Err(), &stuck)
	require.Contains(t, stuck.Msg, "no event is left")

	p = play(t, "", 1)
	require.False(t, p.Advance(time.Second, nil))
	var failure *asynctest.Failure
	require.ErrorAs(t, p.Err(), &failure)
	require.Nil(t, p.Cluster())
	require.Error(t, p.Do("heal"))
}

func TestScenarioSystems(t *testing.T) {
	for text, want := range map[string]string{
		"nodes 3\nnode n2":                  `x:2:6: there is a node "n2" already`,
		"nodes 0":                           `x:1:7: "0" is no number from 1 to 20000`,
		"nodes 20000\nnode a":               `x:2:6: there are 20000 nodes already, which is the most`,
		"nodes 2 prefix=a=":                 `x:1:9: "a=1" is no name`,
		"nodes 2 policy=x":                  `x:1:16: unknown policy "x"`,
		"nodes 2\nrun 1s\nlinks latency=1s": `x:3:1: links come first, among the nodes`,
		"nodes 2\nlinks\nlinks":             `x:3:1: there are links already`,
		"nodes 2\ntraffic n1":               `x:2:11: traffic: a node is missing`,
		"nodes 2\ntraffic n1 n2":            `x:2:14: traffic: every= is missing`,
		"nodes 2\ntraffic n1 n2 every=1ns":  `x:2:21: every: 1µs at least`,
		"node a\ntraffic ring every=1s":     `x:2:9: traffic: there is one node only`,
		"nodes 2\ntraffic mesh every=1s": `x:2:9: there is no node "mesh"; traffic is between two nodes, ` +
			`or ring, star, random, gossip, stop`,
		"nodes 2\nfaults 2":     `x:2:8: "2" is neither none nor a rate from 0.001/s to 1000/s`,
		"nodes 2\nfaults NaN/s": `x:2:8: "NaN/s" is neither none nor a rate from 0.001/s to 1000/s`,
		"nodes 2\nfaults 1/s kinds=cut,earth": `x:2:18: kinds: some of cut, stall, pause and kill, ` +
			`with commas between, not "cut,earth"`,
		"nodes 2\nfaults 1/s kinds=cut,cut": `x:2:18: kinds: some of cut, stall, pause and kill, ` +
			`with commas between, not "cut,cut"`,
		"nodes 2\nat":     `x:2:3: at: a time is missing`,
		"nodes 2\nat -1s": `x:2:4: "-1s" is no duration such as 5s, at most 1000h`,
		"nodes 2\ntraffic gossip every=1s peers=0": `x:2:31: "0" is no number from 1 to 1000`,
	} {
		_, err := asynctest.ParseScenario("x", []byte(text))
		require.EqualError(t, err, want, text)
	}
	for text, want := range map[string]string{
		"nodes 2\nrun 2s\nat 1s":     "x:3:1: at 1s: it is 2s already (seed 1)",
		"nodes 2\nkill n1\npause n1": "x:3:1: pause n1: it is down (seed 1)",
	} {
		s, err := asynctest.ParseScenario("x", []byte(text))
		require.NoError(t, err)
		require.EqualError(t, s.Run(nil).Err, want, text)
	}
}

// Each kind of traffic reaches whom it should, in the time it should take.
func TestScenarioTraffic(t *testing.T) {
	for kind, want := range map[string]map[string]int{
		"ring":   {"n1 n2": 100, "n2 n3": 100, "n4 n1": 100, "n1 n3": 0},
		"star":   {"n2 n1": 133, "n4 n1": 133, "n1 n2": 0},
		"n3 n1":  {"n3 n1": 100, "n1 n2": 0},
		"random": {"n2 n2": 0},
		"gossip": {"n2 n2": 0},
	} {
		text := "nodes 4\ntraffic " + kind + " every=10ms size=10\nat 999ms\ntraffic stop\nrun 10s\ncheck\n"
		s, err := asynctest.ParseScenario("x", []byte(text))
		require.NoError(t, err)
		var c *asynctest.Cluster
		r := s.Run(func(cluster *asynctest.Cluster) { c = cluster })
		require.NoError(t, r.Err)
		if strings.HasPrefix(kind, "n") {
			require.Equal(t, 100, r.Sent)
		} else {
			require.Equal(t, 400, r.Sent, kind)
		}
		got := map[string]int{}
		for _, w := range c.History.Records {
			if w.Kind == asynctest.RecDelivered {
				got[fmt.Sprintf("n%d n%d", w.Flow.From+1, w.Flow.To+1)]++
			}
		}
		for pair, n := range want {
			require.InDelta(t, n, got[pair], 1, "%s: %v", kind, got)
		}
	}
}

// Faults come as often as they should, mend themselves, and depend on the seed alone.
func TestScenarioFaultRate(t *testing.T) {
	text := "nodes 6\ntraffic gossip every=20ms\nfaults 10/s kinds=cut,stall,pause,kill\nrun 20s\nfaults none\n" +
		"run 5s\ntraffic stop\nrun 30s\ncheck exactly_once\n"
	s, err := asynctest.ParseScenario("x", []byte(text))
	require.NoError(t, err)
	r := s.Run(nil)
	require.NoError(t, r.Err, strings.Join(r.Log, "\n"))
	require.InDelta(t, 200, r.Faults, 60)
	again := s.Run(nil)
	require.Equal(t, r, again)
	s.Seed = 2
	require.NotEqual(t, r.Hash, s.Run(nil).Hash)
}
