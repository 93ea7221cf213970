package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"strings"
)

// event is one of `go test -json`.
type event struct {
	Action, Test, Output string
}

// outputMax is how much of a test's output is kept, its end.
const outputMax = 16 << 10

// ran is what a run of a test binary was.
type ran struct {
	outcomes outcomes
	begun    map[string]bool
	output   map[string]string // of each test, subtests included; "" is what belongs to none
}

// readEvents reads the events of a test binary until their end. Lines that are none are
// output of no test.
func readEvents(r io.Reader) (*ran, error) {
	x := &ran{outcomes: outcomes{}, begun: map[string]bool{}, output: map[string]string{}}
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			x.event(line)
		}
		if err == io.EOF {
			return x, nil
		}
		if err != nil {
			return x, err
		}
	}
}

func (x *ran) event(line []byte) {
	var e event
	if !bytes.HasPrefix(line, []byte("{")) || json.Unmarshal(line, &e) != nil {
		e = event{Action: "output", Output: string(line)}
	}
	top, _, isSub := strings.Cut(e.Test, "/")
	if e.Action == "output" {
		o := x.output[top] + e.Output
		x.output[top] = o[max(0, len(o)-outputMax):]
		return
	}
	if top == "" {
		return
	}
	switch e.Action {
	case "run":
		x.begun[top] = true
	case "pass", "fail", "skip":
		if !isSub {
			x.outcomes[top] = map[string]outcome{"pass": passed, "fail": failed, "skip": skipped}[e.Action]
		}
	}
}
