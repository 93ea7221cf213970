package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"
)

func main() {
	var (
		only    = flag.String("suite", "", "run only the suites whose names contain this")
		run     = flag.String("run", "", "run only the tests that match this regular expression")
		keep    = flag.Bool("keep", false, "keep the temporary folder, and say where it is")
		verbose = flag.Bool("v", false, "print the output of each test that fails")
		limit   = flag.Duration("limit", 10*time.Minute, "give up after this time")
	)
	flag.Parse()
	pattern, err := regexp.Compile(*run)
	if err != nil {
		fail(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, *limit)
	defer cancel()

	adapters, err := filepath.Abs("..")
	if err != nil {
		fail(err)
	}
	if _, err := os.Stat(filepath.Join(adapters, "proof", "go.mod")); err != nil {
		fail(fmt.Errorf("run it in async/adapters/proof: %w", err))
	}
	dir, err := os.MkdirTemp("", "adapters-proof-")
	if err != nil {
		fail(err)
	}
	root := filepath.Dir(filepath.Dir(adapters))
	b := &bench{adapters: adapters, root: root, dir: dir, pattern: pattern, verbose: *verbose}
	reports := runAll(ctx, b, *only)
	if *keep {
		fmt.Println("kept:", dir)
	} else if err := os.RemoveAll(dir); err != nil {
		fmt.Fprintln(os.Stderr, "proof: the temporary folder stays:", err)
	}
	fmt.Print(table(reports))
	os.Exit(status(reports))
}

// runAll runs the suites that were asked for, those of one lane one after the other, and
// the lanes at the same time: most of these tests sleep most of the time.
func runAll(ctx context.Context, b *bench, only string) []report {
	var chosen []suite
	for _, s := range suites {
		if strings.Contains(s.name, only) {
			chosen = append(chosen, s)
		}
	}
	if len(chosen) == 0 {
		fail(fmt.Errorf("no suite is named like %q", only))
	}
	reports := make([]report, len(chosen))
	lanes := map[string][]int{}
	for i, s := range chosen {
		lanes[s.lane] = append(lanes[s.lane], i)
	}
	var wg sync.WaitGroup
	for _, lane := range lanes {
		wg.Go(func() {
			for _, i := range lane {
				start := time.Now()
				r := b.suite(ctx, chosen[i])
				r.took = time.Since(start)
				reports[i] = r
			}
		})
	}
	wg.Wait()
	for i := range reports { // when nothing else runs: most of what fails now and then waits for time
		reports[i].judge()
	}
	return reports
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "proof:", err)
	os.Exit(2)
}
