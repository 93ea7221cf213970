package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// bench is where suites are prepared and run.
type bench struct {
	root, adapters string // of this checkout: the module, and async/adapters
	dir            string // temporary
	pattern        *regexp.Regexp
	verbose        bool
	print          sync.Mutex
}

// binary is a compiled test.
type binary struct {
	path, dir string
	env       []string
}

// suite prepares a suite and runs it both ways.
func (b *bench) suite(ctx context.Context, s suite) report {
	plain, ours, err := b.prepare(ctx, s)
	if err != nil {
		return report{name: s.name, alone: s.alone, err: err}
	}
	list, err := b.command(ctx, ours.dir, ours.env, ours.path, "-test.list", s.tests)
	if err != nil {
		return report{name: s.name, alone: s.alone, err: err}
	}
	var tests []string
	for t := range strings.FieldsSeq(list) {
		if strings.HasPrefix(t, "Test") && b.pattern.MatchString(t) && s.without[t] == "" {
			tests = append(tests, t)
		}
	}
	if len(tests) == 0 {
		return report{name: s.name, alone: s.alone, err: fmt.Errorf("no test matches")}
	}
	r := first(s, tests, func(withOurs bool, tests []string) outcomes {
		if withOurs {
			return b.shards(ctx, s, ours, tests)
		}
		return b.shards(ctx, s, plain, tests)
	})
	for t, why := range s.without {
		r.notes = append(r.notes, fmt.Sprintf("%s %s: not run, %s", s.name, t, why))
	}
	if err := ctx.Err(); err != nil {
		r.err = err
	}
	return r
}

// shards runs tests in several processes at a time.
func (b *bench) shards(ctx context.Context, s suite, bin binary, tests []string) outcomes {
	n := min(max(s.shards, 1), len(tests))
	all := make([]outcomes, n)
	var wg sync.WaitGroup
	for i := range n {
		var mine []string
		for j := i; j < len(tests); j += n {
			mine = append(mine, tests[j])
		}
		wg.Go(func() { all[i] = b.run(ctx, s, bin, mine) })
	}
	wg.Wait()
	sum := outcomes{}
	for _, o := range all {
		for t, x := range o {
			sum[t] = x
		}
	}
	return sum
}

// run runs tests in one process, and in another one those that were left when one of
// them ended the process.
func (b *bench) run(ctx context.Context, s suite, bin binary, tests []string) outcomes {
	sum := outcomes{}
	for left := tests; len(left) > 0 && ctx.Err() == nil; {
		x := b.process(ctx, s, bin, left)
		var next []string
		for _, t := range left {
			o, ok := x.outcomes[t]
			switch {
			case !ok && x.begun[t]:
				o = failed
			case !ok:
				next = append(next, t)
				continue
			}
			sum[t] = o
			if o == failed {
				b.say(s, bin, t, x)
			}
		}
		if len(next) == len(left) { // not one of them began
			b.say(s, bin, "", x)
			break
		}
		left = next
	}
	for _, t := range tests {
		if sum[t] == absent {
			sum[t] = absent
		}
	}
	return sum
}

func (b *bench) process(ctx context.Context, s suite, bin binary, tests []string) *ran {
	args := []string{
		"tool", "test2json", "-t", bin.path, "-test.v=test2json", "-test.timeout=" + s.limit().String(),
		"-test.run=^(" + strings.Join(tests, "|") + ")$",
	}
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir, cmd.Env = bin.dir, append(environ(), bin.env...)
	cmd.WaitDelay = 5 * time.Second
	out, in := io.Pipe()
	cmd.Stdout, cmd.Stderr = in, in
	go func() { in.CloseWithError(cmd.Run()) }()
	x, err := readEvents(out)
	if err != nil {
		x.output[""] += "\n" + err.Error()
	}
	return x
}

// say prints what a test that failed has printed.
func (b *bench) say(s suite, bin binary, test string, x *ran) {
	b.print.Lock()
	defer b.print.Unlock()
	if test != "" && !b.verbose {
		fmt.Printf("%s: %s failed %s\n", s.name, test, filepath.Base(bin.path))
		return
	}
	fmt.Printf("--- %s %s, %s:\n%s%s\n", s.name, test, filepath.Base(bin.path), x.output[test], x.output[""])
}

// command runs a program and returns what it prints.
func (b *bench) command(ctx context.Context, dir string, env []string, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = dir, append(environ(), env...)
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s%s", name, strings.Join(args, " "), err, out.String(), problems.String())
	}
	return out.String(), nil
}

// environ is the environment without what would change which modules are used.
func environ() []string {
	env := slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "GOFLAGS=") || strings.HasPrefix(v, "GOWORK=")
	})
	return append(env, "GOFLAGS=", "GOWORK=off")
}
