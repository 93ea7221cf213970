package main

import (
	"fmt"
	"strings"
	"testing"
)

// script has the outcomes of each test by the runs, "p", "f", "s" or "-" for absent: first
// without the adapter, then with it.
type script map[string][2]string

func (s script) run() runner {
	n := map[string]int{}
	return func(ours bool, tests []string) outcomes {
		o := outcomes{}
		for _, t := range tests {
			way := 0
			if ours {
				way = 1
			}
			key := fmt.Sprint(t, ours)
			o[t] = outcome(strings.IndexByte("-pfs", s[t][way][n[key]]))
			n[key]++
		}
		return o
	}
}

func TestTheRule(t *testing.T) {
	for what, x := range map[string]struct {
		plain, ours string
		counts      bool
	}{
		"both pass":                    {"p", "p", false},
		"both skip":                    {"s", "s", false},
		"fails both ways":              {"f", "f", false},
		"does not end both ways":       {"-", "-", false},
		"better with it":               {"f", "p", false},
		"fails, then passes":           {"p", "fp", false},
		"fails always, passes twice":   {"pp", strings.Repeat("f", 25), true},
		"passes the 25th time":         {"pp", strings.Repeat("f", 24) + "p", false},
		"does not end, passes twice":   {"pp", strings.Repeat("-", 25), true},
		"fails twice, flaky without":   {"pf", "ff", false},
		"skipped only with it":         {"pp", strings.Repeat("s", 25), true},
		"fails where it is skipped":    {"ss", strings.Repeat("f", 25), true},
		"fails, is skipped as without": {"s", "fs", false},
	} {
		t.Run(what, func(t *testing.T) {
			one := script{"TestX": {x.plain, x.ours}}
			r := first(suite{name: "s", oneByOne: true}, []string{"TestX"}, one.run())
			r.judge()
			if got := len(r.counts) == 1; got != x.counts {
				t.Errorf("counts: %v, notes %q", got, r.notes)
			}
			if got := status([]report{r}) == 1; got != x.counts {
				t.Errorf("status %v", got)
			}
		})
	}
	alone := first(suite{alone: true}, []string{"TestX"}, script{"TestX": {"", strings.Repeat("f", 25)}}.run())
	if alone.judge(); len(alone.counts) != 1 {
		t.Error("a test without another way has to pass once in 25 runs")
	}
	if status([]report{{err: fmt.Errorf("no")}}) != 2 {
		t.Error("what was not run is not passed")
	}
}

func TestReadEvents(t *testing.T) {
	x, err := readEvents(strings.NewReader(`not json at all
{"Action":"run","Test":"TestA"}
{"Action":"run","Test":"TestA/sub"}
{"Action":"output","Test":"TestA/sub","Output":"said\n"}
{"Action":"fail","Test":"TestA/sub"}
{"Action":"fail","Test":"TestA"}
{"Action":"run","Test":"TestB"}
{"Action":"pass","Test":"TestB"}
{"Action":"skip","Test":"TestC"}
{"Action":"run","Test":"TestD"}
{"Action":"fail"}
`))
	if err != nil {
		t.Fatal(err)
	}
	want := outcomes{"TestA": failed, "TestB": passed, "TestC": skipped}
	if fmt.Sprint(x.outcomes) != fmt.Sprint(want) || !x.begun["TestD"] || x.outcomes["TestD"] != absent {
		t.Errorf("%v, begun %v", x.outcomes, x.begun)
	}
	if x.output["TestA"] != "said\n" || x.output[""] != "not json at all\n" {
		t.Errorf("output %q", x.output)
	}
	if got := want.tally(); got != "1 / 1 / 1" {
		t.Error(got)
	}
}

func TestIntoPackage(t *testing.T) {
	files := map[string][]byte{
		"a.go": []byte(`package adapter

import (
	"fmt"
	"example.org/raft"
)

type Transport struct{ Options int } // a raft.Transport

func New(o Options) *Transport { return &Transport{Options: o.N} }

func (t *Transport) New() raft.Log { fmt.Println(New); return raft.Log{Term: raft.First} }
`),
		"b.go": []byte("package adapter\n\ntype Options struct{ N int }\n"),
	}
	out, err := intoPackage(files, "example.org/raft", "raft")
	if err != nil {
		t.Fatal(err)
	}
	want := `package raft

import (
	"fmt"
	
)

type msgr_Transport struct{ Options int } // a raft.Transport

func msgr_New(o msgr_Options) *msgr_Transport { return &msgr_Transport{Options: o.N} }

func (t *msgr_Transport) New() Log { fmt.Println(msgr_New); return Log{Term: First} }
`
	if got := string(out["a.go"]); got != want {
		t.Errorf("%s", got)
	}
}
