package playground

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/asyncmsgr/asyncmsgr/bench/simulate"
	"github.com/stretchr/testify/require"
)

// asker asks an engine.
type asker struct {
	t *testing.T
	e Engine
}

// ask returns the replies to a request, which are no errors.
func (a *asker) ask(do string, fields map[string]any) map[string]reply {
	a.t.Helper()
	all := a.try(do, fields)
	require.NotContains(a.t, all, "error", "%v", all["error"])
	return all
}

// try returns the replies to a request by their types.
func (a *asker) try(do string, fields map[string]any) map[string]reply {
	a.t.Helper()
	q := map[string]any{"id": 5, "do": do}
	for k, v := range fields {
		q[k] = v
	}
	in, err := json.Marshal(q)
	require.NoError(a.t, err)
	var replies []reply
	require.NoError(a.t, json.Unmarshal(a.e.Handle(in), &replies))
	all := map[string]reply{}
	for _, r := range replies {
		require.EqualValues(a.t, 5, r["id"])
		all[r["type"].(string)] = r
	}
	return all
}

func (a *asker) text(key string) string {
	a.t.Helper()
	return a.ask("text", nil)["text"][key].(string)
}

// now is the time, in ns.
func (a *asker) now() float64 {
	a.t.Helper()
	return a.ask("state", nil)["state"]["at"].(float64)
}

// native is what msgr sim makes of the text that the engine gives now.
func (a *asker) native(seed uint64) simulate.Result {
	a.t.Helper()
	file := filepath.Join(a.t.TempDir(), "scenario.txt")
	require.NoError(a.t, os.WriteFile(file, []byte(a.text("text")), 0o600))
	r, err := simulate.Run(simulate.Config{Scenario: file, Seed: seed})
	require.NoError(a.t, err)
	return r
}

// same checks that msgr sim gives the hash that the engine says.
func (a *asker) same(seed uint64) {
	a.t.Helper()
	got := a.ask("hash", nil)["hash"]
	require.Equal(a.t, fmt.Sprintf("%016x", a.native(seed).Hash), got["hash"], "seed %d:\n%s", seed, a.text("text"))
}

// Each preset runs, breaks nothing (but the one that is to) and is the same for msgr sim.
func TestPresets(t *testing.T) {
	for _, p := range Presets() {
		t.Run(p.Name, func(t *testing.T) {
			a := &asker{t: t}
			require.NotEmpty(t, p.Title)
			require.NotEmpty(t, p.About)
			all := a.ask("preset", map[string]any{"name": p.Name, "seed": "7"})
			require.Equal(t, "7", all["text"]["seed"])
			require.Equal(t, true, all["state"]["fresh"])
			s := a.ask("advance", map[string]any{"to": 4e9})["state"]
			require.Positive(t, s["deliveries"])
			require.NotContains(t, s, "fresh")
			if p.Name == "violation" {
				v := s["violation"].(map[string]any)
				require.Equal(t, "violation", s["ended"])
				require.Contains(t, v["message"], "expect delivered n1 n2 50: it is")
				require.EqualValues(t, 3e9, v["at"])
				require.EqualValues(t, 9, v["line"])
				require.NotEmpty(t, v["rows"])
				require.Contains(t, v["chart"], "participant h1 as n2")
			} else {
				require.NotContains(t, s, "ended", "%v", s["violation"])
			}
			a.same(7)
			if p.Faults {
				a.ask("preset", map[string]any{"name": p.Name, "faults": 5, "nodes": p.max()})
				s := a.ask("advance", map[string]any{"to": 2e9})["state"]
				require.Positive(t, s["faults_made"])
				a.same(1)
			}
		})
	}
}

func (p *Preset) max() int {
	if p.Nodes == nil {
		return 0
	}
	return p.Nodes.Max
}

func TestPresetMistakes(t *testing.T) {
	a := &asker{t: t}
	for _, c := range []struct {
		fields map[string]any
		want   string
	}{
		{map[string]any{"name": "x"}, `there is no preset "x"; there are ring, gossip`},
		{map[string]any{"name": "ring", "nodes": 51}, "ring has from 2 to 50 nodes, not 51"},
		{map[string]any{"name": "ring", "nodes": 1}, "ring has from 2 to 50 nodes, not 1"},
		{map[string]any{"name": "ring", "faults": 101}, "101 faults a second are not between 0 and 100"},
		{map[string]any{"name": "ring", "faults": -1}, "-1 faults a second are not between 0 and 100"},
		{map[string]any{"name": "ring", "policy": "x"}, `there is no policy "x" here`},
		{map[string]any{"name": "ring", "seed": "-1"}, `"-1" is no seed`},
		{map[string]any{"name": "ring", "seed": "18446744073709551616"}, `is no seed`},
	} {
		require.Contains(t, a.try("preset", c.fields)["error"]["message"], c.want)
	}
}

// clicks are what a hand may do to a ring of eight.
var clicks = []string{"cut n1 n2", "cut n3", "stall n2 n3", "release n2 n3", "partition n1 n2 n3 | n4 n5", "heal",
	"kill n4", "restart n4", "crash n6", "restart n6", "pause n5", "resume n5", "clock n7 skew=5s", "clock n7",
	"stick n8", "free n8", "send n1 n2 10 size=1000 prio=196", "mark_down n1 n2", "hold n2 n3 ACK", "connect n1 n5"}

// However it is clicked, wound back and cut into pieces: the text that comes out is the same
// run for msgr sim.
func TestClicks(t *testing.T) {
	seeds := uint64(6)
	if testing.Short() {
		seeds = 2
	}
	for seed := range seeds {
		rnd := rand.New(rand.NewPCG(seed, 5))
		a := &asker{t: t}
		a.ask("preset", map[string]any{"name": "ring", "seed": seed, "faults": float64(seed % 3)})
		for range 30 {
			switch now := a.now(); rnd.IntN(6) {
			case 0, 1:
				a.ask("advance", map[string]any{"to": now + rnd.Float64()*3e8, "budget": 0.1})
			case 2:
				a.ask("step", nil)
			case 3:
				to := rnd.Float64() * now
				at := a.ask("seek", map[string]any{"to": to})["state"]["at"]
				require.EqualValues(t, uint64(to), at)
			default:
				all := a.try("act", map[string]any{"line": clicks[rnd.IntN(len(clicks))]})
				if e := all["error"]; e != nil { // a kill of the dead changes nothing
					require.EqualValues(t, now, all["state"]["at"])
				}
			}
		}
		a.same(seed)
		a.ask("advance", map[string]any{"to": a.now() + 1e9})
		a.same(seed)
	}
}

// To wind back and forward again ends where it was, clicks included; to click something else
// drops the clicks after it.
func TestSeek(t *testing.T) {
	a := &asker{t: t}
	a.ask("preset", map[string]any{"name": "ring", "seed": 3})
	for i, line := range []string{"cut n1 n2", "kill n4", "restart n4"} {
		a.ask("advance", map[string]any{"to": float64(i+1) * 1e9})
		a.ask("act", map[string]any{"line": line})
	}
	a.ask("advance", map[string]any{"to": 5e9})
	want := a.ask("hash", nil)["hash"]
	whole := a.text("whole")

	s := a.ask("seek", map[string]any{"to": 1.5e9})["state"]
	require.Equal(t, true, s["fresh"])
	require.EqualValues(t, 1.5e9, s["at"])
	require.Equal(t, whole, a.text("whole"))
	require.Len(t, a.ask("text", nil)["text"]["acts"], 3)
	require.NotContains(t, a.text("text"), "kill")
	a.same(3)
	a.ask("advance", map[string]any{"to": 5e9})
	require.Equal(t, want, a.ask("hash", nil)["hash"])

	a.ask("seek", map[string]any{"to": 2.5e9})
	all := a.ask("act", map[string]any{"line": "stall n5 n6"})
	require.Len(t, all["text"]["acts"], 3) // one is gone, one is new
	require.Contains(t, all["text"]["whole"], "kill n4")
	require.NotContains(t, all["text"]["whole"], "restart n4")
	require.Contains(t, all["text"]["whole"], "run 57.5s")
	require.Contains(t, all["state"]["faults"], "stall n5 n6")
	a.ask("seek", map[string]any{"to": 0.5e9})
	all = a.ask("truncate", nil)
	require.Empty(t, all["text"]["acts"])
	text, err := PresetText("ring", PresetOptions{})
	require.NoError(t, err)
	require.Equal(t, text, all["text"]["whole"])
	a.same(3)
}
