package workload

import (
	"fmt"
	"slices"
	"strings"
)

// inFlightMax bounds the payload bytes in flight on all connections together:
// scenarios with more have smaller windows, or connections take turns.
const inFlightMax = 256 << 20

// Full returns all scenarios.
func Full() []Scenario {
	out := []Scenario{{Name: "ping-pong", Connections: 1, Size: 64, Window: 1}}
	for _, connections := range []int{1, 16, 64, 256, 1000} {
		for _, x := range []struct{ size, window int }{
			{64, 16}, {64, 64}, {4 << 10, 16}, {4 << 10, 64}, {64 << 10, 4}, {64 << 10, 16}, {4 << 20, 2},
		} {
			if connections == 64 && (x.size != 64 || x.window != 16) {
				continue // a point between 16 and 256 for what is drawn against connections
			}
			s := pipelined(connections, x.size, x.window)
			if !slices.ContainsFunc(out, func(o Scenario) bool { return o.Name == s.Name }) {
				out = append(out, s)
			}
		}
	}
	for _, n := range []int{1000, 10_000} {
		out = append(out, Scenario{Name: fmt.Sprintf("idle/%d", n), Kind: Idle, Connections: n})
	}
	out = append(out, Scenario{Name: "active/10000", Connections: 10_000, Size: 64, Window: 1, Seconds: 2})
	for _, percent := range []int{10, 25, 50, 75, 90, 100} {
		out = append(out, Scenario{
			Name: fmt.Sprintf("open/%d", percent), Kind: Open, Connections: kneeOf.Connections, Size: kneeOf.Size,
			Window: openWindow, Load: float64(percent) / 100,
		})
	}
	for _, name := range []string{"on", "off"} {
		out = append(out, Scenario{
			Name: "priority/" + name, Kind: Priority, Connections: 1, Size: 64 << 10, Window: 2048, High: name == "on",
		})
	}
	out = append(out, Scenario{Name: "faults/cut", Kind: Faults, Connections: 16, Size: 4 << 10, Window: 64})
	for _, name := range []string{"lossy", "lossless"} {
		out = append(out, Scenario{
			Name: "fan-out/" + name, Kind: FanOut, Connections: 2000, Size: 4 << 10, Window: 1,
			Options: Options{Lossy: name == "lossy"},
		})
	}
	for _, x := range []struct{ size, window int }{{64, 64}, {4 << 10, 16}, {64 << 10, 16}, {1 << 20, 4}} {
		s := pipelined(16, x.size, x.window)
		s.Name = "secure" + strings.TrimPrefix(s.Name, "pipelined")
		s.Only = []string{
			"threadpipe-goroutines", "async-fast", "async-secure", "raw-net", "raw-tls", "grpc", "grpc-tls",
		}
		out = append(out, s)
	}
	for _, n := range []int{1, 2, 3, 4} {
		out = append(out, varied("workers", n, Options{Workers: n}))
	}
	for _, n := range []int{1, 2, 4, 8} {
		out = append(out, varied("messengers", n, Options{Messengers: n}))
	}
	for _, n := range []int{1, 2, 4, 8} {
		out = append(out, varied("width", n, Options{DrainWidth: n}))
	}
	return out
}

// kneeOf is the closed loop whose rate is the most that a contestant does: what the
// loads of the open loop are parts of.
var kneeOf = Scenario{Name: "open", Connections: 16, Size: 64, Window: 64}

// pipelined has a window as large as asked for, within inFlightMax.
func pipelined(connections, size, window int) Scenario {
	s := Scenario{Connections: connections, Size: size, Window: max(1, min(window, inFlightMax/(connections*size)))}
	if connections*size > inFlightMax {
		s.InFlight = inFlightMax / size
	}
	s.Name = fmt.Sprintf("pipelined/%d/%s/%d", connections, sizeName(size), s.Window)
	return s
}

func varied(what string, n int, o Options) Scenario {
	return Scenario{Name: fmt.Sprintf("%s/%d", what, n), Connections: 64, Size: 64, Window: 64, Options: o}
}

// Who takes part in the scenarios of Quick, which has four minutes for all of them: those
// that a target or a picture of the report needs there.
var (
	quickOurs  = []string{"async-fast", "async-queue", "threadpipe-goroutines"}
	quickRaw   = append(slices.Clone(quickOurs), "raw-net")
	quickCore  = append(slices.Clone(quickRaw), "threadpipe-queue")
	quickSome  = append(slices.Clone(quickRaw), "threadpipe-threads", "grpc")
	quickBroad = append(slices.Clone(quickSome), "threadpipe-queue")
	quickAll   = append(slices.Clone(quickBroad), "drpc", "netrpc", "nats", "raw-netpoll")
)

// Quick returns a selection with short measurements: five rounds take less than four
// minutes.
func Quick() []Scenario {
	quick := map[string]struct {
		seconds float64
		only    []string
	}{
		"ping-pong":             {0.1, quickAll},
		"pipelined/1/64B/16":    {0.15, quickCore},
		"pipelined/16/64B/16":   {0.15, quickAll},
		"pipelined/16/64B/64":   {0.15, quickCore},
		"pipelined/64/64B/16":   {0.15, quickCore},
		"pipelined/256/64B/16":  {0.15, quickBroad},
		"pipelined/256/64B/64":  {0.15, quickCore},
		"pipelined/16/4KiB/16":  {0.15, quickBroad},
		"pipelined/256/4KiB/16": {0.15, quickRaw},
		"pipelined/16/64KiB/16": {0.4, quickRaw},
		"idle/1000":             {0.1, quickSome},
		"priority/on":           {0.2, quickOurs},
		"priority/off":          {0.2, quickOurs},
		"faults/cut":            {0.1, quickSome},
		"fan-out/lossy":         {0.15, quickRaw},
	}
	var out []Scenario
	for _, s := range Full() {
		if q, ok := quick[s.Name]; ok {
			s.Seconds, s.Only, s.Ablation = q.seconds, q.only, s.Kind == Priority
			out = append(out, s)
		}
	}
	return out
}

// Part is some of all scenarios: what one command measures within an hour.
type Part struct {
	Name string
	// What says what is in it, in a few words.
	What      string
	Scenarios []Scenario
}

// Parts returns the parts. Every scenario of Full is in one of them.
func Parts() []Part {
	parts := []Part{
		{Name: "small", What: "ping-pong and closed loops of 64 B"},
		{Name: "large", What: "closed loops of 4 KiB to 4 MiB"},
		{Name: "many", What: "1 000 and 10 000 connections that are idle, 10 000 that take turns"},
		{Name: "open", What: "given load"},
		{Name: "rest", What: "priorities, cuts, fan-out, encryption, numbers of workers, messengers and drainers"},
	}
	for _, s := range Full() {
		p := &parts[partOf(s)]
		p.Scenarios = append(p.Scenarios, s)
	}
	return parts
}

// partOf is the index in Parts of the part that s belongs to.
func partOf(s Scenario) int {
	group, _, _ := strings.Cut(s.Name, "/")
	switch {
	case group == "ping-pong", group == "pipelined" && s.Size == 64:
		return 0
	case group == "pipelined":
		return 1
	case s.Kind == Idle, group == "active":
		return 2
	case s.Kind == Open:
		return 3
	}
	return 4
}

// Scenarios returns all scenarios.
func Scenarios() []Scenario { return Full() }

func sizeName(n int) string {
	switch {
	case n >= 1<<20:
		return fmt.Sprintf("%dMiB", n>>20)
	case n >= 1<<10:
		return fmt.Sprintf("%dKiB", n>>10)
	}
	return fmt.Sprintf("%dB", n)
}

// Select returns the scenarios with these names, or whose name begins with one of
// them and a slash; all for no names.
func Select(names []string) ([]Scenario, error) {
	all := Scenarios()
	if len(names) == 0 {
		return all, nil
	}
	var out []Scenario
	for _, s := range all {
		if slices.ContainsFunc(names, func(n string) bool { return s.Name == n || strings.HasPrefix(s.Name, n+"/") }) {
			out = append(out, s)
		}
	}
	for _, n := range names {
		if !slices.ContainsFunc(out, func(s Scenario) bool { return s.Name == n || strings.HasPrefix(s.Name, n+"/") }) {
			var known []string
			for _, s := range all {
				known = append(known, s.Name)
			}
			return nil, fmt.Errorf("no scenario %q; there are %s", n, strings.Join(known, ", "))
		}
	}
	return out, nil
}
