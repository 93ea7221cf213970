// Command speed says how much slower the playground's simulator is as WebAssembly, in node,
// than as a program for this machine. It runs the same in both, in turn, and compares the
// shortest times. It needs go and node.
//
//	go run ./bench/playground/speed
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/asyncmsgr/asyncmsgr/bench/playground"
)

const pkg = "github.com/asyncmsgr/asyncmsgr/bench/playground/speed"

// work is something to be measured; it returns the hash of the run.
type work struct {
	name, preset string
	requests     func() []string
}

var works = []work{
	{"gossip, 50 nodes, 20 s as fast as it goes", "gossip", func() []string { return []string{`{"do":"advance","to":20e9}`} }},
	{"gossip, 50 nodes, 600 pictures of 10 ms each", "gossip", func() (all []string) {
		for i := 1; i <= 600; i++ {
			all = append(all, fmt.Sprintf(`{"do":"advance","to":%d}`, i*10_000_000))
		}
		return all
	}},
	{"ring, 8 nodes, 60 s as fast as it goes", "ring", func() []string { return []string{`{"do":"advance","to":60e9}`} }},
}

// result is what a child says of each work.
type result struct {
	Took time.Duration
	Hash string
}

func main() {
	child := flag.Bool("child", false, "measure, once, and print the results as JSON")
	rounds := flag.Int("rounds", 5, "how often each is measured, in turn")
	flag.Parse()
	if *child {
		_ = json.NewEncoder(os.Stdout).Encode(measure())
		return
	}
	if err := compare(max(*rounds, 1)); err != nil {
		fmt.Fprintln(os.Stderr, "speed:", err)
		os.Exit(1)
	}
}

func measure() (all []result) {
	for _, w := range works {
		e := &playground.Engine{}
		e.Handle(fmt.Appendf(nil, `{"do":"preset","name":%q,"seed":7}`, w.preset))
		requests := w.requests()
		begin := time.Now()
		for _, q := range requests {
			e.Handle([]byte(q))
		}
		took := time.Since(begin)
		var replies []struct{ Hash string }
		if json.Unmarshal(e.Handle([]byte(`{"do":"hash"}`)), &replies) != nil || len(replies) != 1 {
			replies = append(replies[:0], struct{ Hash string }{"none"})
		}
		all = append(all, result{took, replies[0].Hash})
	}
	return all
}

// compare builds both, runs them in turn and prints the ratios.
func compare(rounds int) error {
	dir, err := os.MkdirTemp("", "speed-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return fmt.Errorf("go env GOROOT: %w", err)
	}
	loader := filepath.Join(strings.TrimSpace(string(root)), "lib", "wasm", "go_js_wasm_exec")
	programs := []struct {
		name string
		env  []string
		run  []string
	}{
		{"native", nil, []string{filepath.Join(dir, "native")}},
		{"wasm", []string{"GOOS=js", "GOARCH=wasm"}, []string{loader, filepath.Join(dir, "wasm")}},
	}
	best := map[string][]result{}
	for _, p := range programs {
		cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", p.run[len(p.run)-1], pkg)
		cmd.Env = append(os.Environ(), p.env...)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("building for %s: %w\n%s", p.name, err, out)
		}
	}
	for range rounds {
		for _, p := range programs {
			out, err := exec.Command(p.run[0], append(p.run[1:], "-child")...).Output()
			if err != nil {
				return fmt.Errorf("%s: %w", p.name, err)
			}
			var all []result
			if err := json.Unmarshal(out, &all); err != nil || len(all) != len(works) {
				return fmt.Errorf("%s printed %q: %w", p.name, out, err)
			}
			for i, r := range all {
				switch b := best[p.name]; {
				case len(b) < len(works):
					best[p.name] = append(b, r)
				case r.Took < b[i].Took:
					b[i].Took = r.Took
				}
			}
		}
	}
	for i, w := range works {
		native, wasm := best["native"][i], best["wasm"][i]
		if native.Hash != wasm.Hash {
			return fmt.Errorf("%s: hash %s, and as WebAssembly %s", w.name, native.Hash, wasm.Hash)
		}
		fmt.Printf("%-46s native %8v  wasm %8v  %.1f times as long; hash %s\n", w.name,
			native.Took.Round(time.Millisecond/10), wasm.Took.Round(time.Millisecond/10),
			wasm.Took.Seconds()/native.Took.Seconds(), native.Hash)
	}
	return nil
}
