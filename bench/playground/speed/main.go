// Command speed says how much slower the playground's simulator is as WebAssembly, in node,
// than as a program for this machine. Both do the same several times, in turn, after once that
// does not count, in which node compiles what is used much. What is compared is processor time,
// of all threads, the least of each: a machine that has other things to do changes it less than
// the time that passes, but it does. It needs go and node.
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
	{"gossip, 50 nodes, 10 s as fast as it goes", "gossip", func() []string {
		return []string{`{"do":"advance","to":10e9}`}
	}},
	{"gossip, 50 nodes, 300 pictures of 10 ms each", "gossip", func() (all []string) {
		for i := 1; i <= 300; i++ {
			all = append(all, fmt.Sprintf(`{"do":"advance","to":%d}`, i*10_000_000))
		}
		return all
	}},
	{"ring, 8 nodes, 300 s as fast as it goes", "ring", func() []string {
		return []string{`{"do":"advance","to":300e9}`}
	}},
}

// result is what a child says of each work.
type result struct {
	Took time.Duration
	Hash string
}

func main() {
	child := flag.Bool("child", false, "measure, once, and print the results as JSON")
	rounds := flag.Int("rounds", 3, "how often each is started, in turn")
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

// measured is how often a child does each work, after once that does not count.
const measured = 8

func measure() (all []result) {
	for _, w := range works {
		best := w.once()
		best.Took = 1<<63 - 1
		for range measured {
			if r := w.once(); r.Took < best.Took {
				best = r
			}
		}
		all = append(all, best)
	}
	return all
}

func (w *work) once() result {
	e := &playground.Engine{}
	e.Handle(fmt.Appendf(nil, `{"do":"preset","name":%q,"seed":7}`, w.preset))
	begin := processorTime()
	for _, q := range w.requests() {
		e.Handle([]byte(q))
	}
	took := processorTime() - begin
	var replies []struct{ Hash string }
	if json.Unmarshal(e.Handle([]byte(`{"do":"hash"}`)), &replies) != nil || len(replies) != 1 {
		return result{took, "none"}
	}
	return result{took, replies[0].Hash}
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
	for _, p := range programs {
		cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", p.run[len(p.run)-1], pkg)
		cmd.Env = append(os.Environ(), p.env...)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("building for %s: %w\n%s", p.name, err, out)
		}
	}
	found := map[string][]result{}
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
			least := found[p.name]
			if least == nil {
				found[p.name] = all
			}
			for i := range least {
				least[i].Took = min(least[i].Took, all[i].Took)
			}
		}
	}
	for i, w := range works {
		native, wasm := found["native"][i], found["wasm"][i]
		if native.Hash != wasm.Hash {
			return fmt.Errorf("%s: hash %s, and as WebAssembly %s", w.name, native.Hash, wasm.Hash)
		}
		fmt.Printf("%-46s native %8v  wasm %8v  %.1f times as long; hash %s\n", w.name,
			native.Took.Round(time.Millisecond/10), wasm.Took.Round(time.Millisecond/10),
			wasm.Took.Seconds()/native.Took.Seconds(), native.Hash)
	}
	return nil
}
