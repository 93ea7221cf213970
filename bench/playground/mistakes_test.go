package playground

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What makes no sense says where, and leaves what runs.
func TestMistakes(t *testing.T) {
	a := &asker{t: t}
	require.Contains(t, a.try("advance", nil)["error"]["message"], "nothing runs yet")
	a.ask("preset", map[string]any{"name": "ring"})
	a.ask("advance", map[string]any{"to": 1e9})
	before := a.ask("hash", nil)["hash"]
	for _, c := range []struct {
		do     string
		fields map[string]any
		want   reply
	}{
		{"start", map[string]any{"text": "node a\n  fly a"},
			reply{"line": 2., "column": 3., "message": `unknown step "fly"`, "hint": "there are fault, faults, free"}},
		{"start", map[string]any{"text": "node a\nsend a b"},
			reply{"line": 2., "column": 8., "message": `there is no node "b"`}},
		{"start", map[string]any{"text": "node a\nnode \xff"},
			reply{"line": 2., "column": 6., "message": "unexpected byte 0xef"}},
		{"start", map[string]any{"text": ""},
			reply{"message": "a scenario needs nodes: lines such as node a, or nodes 8"}},
		{"start", map[string]any{"text": "nodes 201"},
			reply{"message": "there are 201 nodes; the playground has 200 at most, and msgr sim more"}},
		{"start", map[string]any{"text": "node a\n" + strings.Repeat("heal\n", 3000)},
			reply{"message": "the text is too long: at most 2000 lines and 65536 bytes"}},
		{"start", map[string]any{"text": "node a # " + strings.Repeat("x", 1<<16)},
			reply{"message": "the text is too long: at most 2000 lines and 65536 bytes"}},
		{"act", map[string]any{"line": "cut n1 n99"},
			reply{"line": 1., "column": 8., "message": `there is no node "n99"`}},
		{"act", map[string]any{"line": "restart n1"},
			reply{"message": "restart n1: it runs (seed 1)"}},
		{"act", map[string]any{"line": "run 5s"},
			reply{"line": 1., "column": 1., "message": "run cannot be put in: it is no step of a moment"}},
		{"act", nil, reply{"line": 1., "column": 1., "message": "a step is missing"}},
		{"advance", map[string]any{"to": -1}, reply{"message": "-1 is no time from 0 to 1000h0m0s"}},
		{"seek", map[string]any{"to": 1e19}, reply{"message": "1e+19 is no time from 0 to 1000h0m0s"}},
		{"dance", nil, reply{"message": `there is no request "dance"`}},
	} {
		got := a.try(c.do, c.fields)["error"]
		c.want["id"], c.want["type"] = 5., "error"
		require.Equal(t, c.want, got)
		require.Equal(t, before, a.ask("hash", nil)["hash"], c.want)
	}
	var replies []reply
	require.NoError(t, json.Unmarshal(a.e.Handle([]byte("{")), &replies))
	require.Equal(t, "error", replies[0]["type"])
}

// An expectation that fails when it is put in is a violation; the run can be wound back.
func TestViolationByHand(t *testing.T) {
	a := &asker{t: t}
	a.ask("preset", map[string]any{"name": "tour-lossless"})
	a.ask("advance", map[string]any{"to": 2e9})
	s := a.ask("state", nil)["state"]
	require.NotContains(t, s, "ended")
	all := a.ask("act", map[string]any{"line": "expect delivered a b 1000"})
	require.Equal(t, "violation", all["state"]["ended"])
	require.Contains(t, all["text"]["text"], "expect delivered a b 1000")
	r := a.native(1)
	require.Equal(t, 1, r.Violations)
	require.Equal(t, fmt.Sprintf("%016x", r.Hash), a.ask("hash", nil)["hash"]["hash"])
	require.Contains(t, a.try("act", map[string]any{"line": "heal"})["error"]["message"], "the run is over")
	a.ask("seek", map[string]any{"to": 1e9})
	all = a.ask("act", map[string]any{"line": "cut a b"})
	require.NotContains(t, all["state"], "ended")
	require.NotContains(t, all["text"]["whole"], "expect")
}
