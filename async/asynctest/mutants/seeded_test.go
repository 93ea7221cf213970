package mutants_test

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	seeded    = flag.Int("seeded", 0, "how many small mistakes TestSeeded makes, one after the other")
	seed      = flag.Uint64("seed", 1, "which ones, of TestSeeded")
	seededPkg = flag.String("seeded-pkg", "", "only of this package, connection/session for example")
	seededIDs = flag.String("seeded-ids", "", "only those with this in their name, however many")
	seededOwn = flag.Bool("seeded-own", false, "try the package's own tests only: fast, and says less")
	results   = flag.String("results", "", "a file that keeps what TestSeeded finds, and what is not tried again")
)

// outcome is what became of a mistake.
type outcome struct {
	ID, Killed string // by which package's tests; empty: it has survived
	How        string // failed, too much time, does not compile
	Where      string
	What       string
}

// TestSeeded makes small mistakes by chance, evenly over the packages, and wants the tests
// to find them: those of the package, then those above it and a swarm. It fails for those
// that survive and are not explained in testdata/explained.txt.
func TestSeeded(t *testing.T) {
	if *seeded == 0 && *seededIDs == "" {
		t.Skip("takes hours: make mutants N=200")
	}
	why := readExplained(t)
	old := readResults(t)
	var todo []*point
	var turns [][]*point
	for i, pkg := range mutated {
		if *seededPkg != "" && pkg != *seededPkg {
			continue
		}
		ps, err := points(pkg)
		require.NoError(t, err)
		t.Logf("%s: %d points", pkg, len(ps))
		if *seededIDs != "" {
			for _, p := range ps {
				if strings.Contains(p.id, *seededIDs) {
					todo = append(todo, p)
				}
			}
			continue
		}
		rng := rand.New(rand.NewPCG(*seed, uint64(i)))
		rng.Shuffle(len(ps), func(i, j int) { ps[i], ps[j] = ps[j], ps[i] })
		n := *seeded / len(mutated)
		if i < *seeded%len(mutated) {
			n++
		}
		if *seededPkg != "" {
			n = *seeded
		}
		turns = append(turns, ps[:min(n, len(ps))])
	}
	// By turns, so that a run that is stopped has looked at all packages.
	for i := range *seeded {
		for _, ps := range turns {
			if i < len(ps) {
				todo = append(todo, ps[i])
			}
		}
	}
	h := &hunter{t: t, suites: map[string]suite{}}
	for _, p := range todo {
		if _, done := old[p.id]; !done {
			_, err := h.suite(p.pkg)
			require.NoError(t, err)
		}
	}
	var found []outcome
	var mu sync.Mutex
	work := make(chan *point)
	var all sync.WaitGroup
	for range min(2, runtime.GOMAXPROCS(0)) {
		all.Go(func() {
			for p := range work {
				o, err := h.hunt(p)
				mu.Lock()
				if err != nil {
					t.Errorf("%s: %v", p.id, err)
				} else {
					found = append(found, o)
					tell(t, o)
				}
				mu.Unlock()
			}
		})
	}
	for _, p := range todo {
		if o, ok := old[p.id]; ok {
			found = append(found, o)
			continue
		}
		work <- p
	}
	close(work)
	all.Wait()
	score(t, found, why)
}

// tell prints o, and keeps it.
func tell(t *testing.T, o outcome) {
	fate := "killed"
	switch {
	case o.How == broken:
		fate = "no code"
	case o.Killed == "":
		fate = "SURVIVED"
	}
	fmt.Printf("%-8s %s: %s [%s]\n         %s\n", fate, o.Where, o.What, strings.TrimSpace(o.Killed+" "+o.How), o.ID)
	if *results == "" || *seededOwn && o.Killed == "" && o.How == "" {
		return // to be tried again, by all
	}
	f, err := os.OpenFile(*results, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err == nil {
		defer f.Close()
		var b []byte
		if b, err = json.Marshal(o); err == nil {
			_, err = f.Write(append(b, '\n'))
		}
	}
	if err != nil {
		t.Errorf("%s: %v", *results, err)
	}
}

func readResults(t *testing.T) map[string]outcome {
	all := map[string]outcome{}
	b, err := os.ReadFile(*results)
	if *results == "" || errors.Is(err, os.ErrNotExist) {
		return all
	}
	require.NoError(t, err)
	for line := range strings.Lines(string(b)) {
		var o outcome
		require.NoError(t, json.Unmarshal([]byte(line), &o))
		all[o.ID] = o // the last one counts
	}
	return all
}

const (
	broken  = "does not compile"
	tooLong = "took too long"
	failed  = "failed"
)

// score prints how many were found, by package, and fails for those that were not and are
// not explained.
func score(t *testing.T, found []outcome, why map[string]string) {
	type row struct{ own, above, long, survived, explained, broken int }
	rows := map[string]*row{}
	var sum row
	for _, o := range found {
		pkg := o.ID[:strings.LastIndex(o.ID[:strings.LastIndex(o.ID[:strings.LastIndex(o.ID[:strings.LastIndex(
			o.ID, "/")], "/")], "/")], "/")]
		if rows[pkg] == nil {
			rows[pkg] = &row{}
		}
		for _, r := range []*row{rows[pkg], &sum} {
			switch {
			case o.How == broken:
				r.broken++
			case o.Killed == "" && why[o.ID] != "":
				r.explained++
			case o.Killed == "":
				r.survived++
			case o.Killed == pkg:
				r.own++
			default:
				r.above++
			}
			if o.How == tooLong {
				r.long++
			}
		}
	}
	fmt.Println("| package | killed by its own tests | by those above it | of these: " + tooLong +
		" | explained | survived | score |")
	fmt.Println("| --- | --- | --- | --- | --- | --- | --- |")
	print := func(name string, r *row) {
		killed := r.own + r.above
		fmt.Printf("| %s | %d | %d | %d | %d | %d | %.1f %% |\n", name, r.own, r.above, r.long, r.explained, r.survived,
			100*float64(killed)/float64(max(1, killed+r.survived)))
	}
	for _, pkg := range mutated {
		if rows[pkg] != nil {
			print("`"+pkg+"`", rows[pkg])
		}
	}
	print("all", &sum)
	fmt.Printf("%d more do not compile\n", sum.broken)
	for _, o := range found {
		if o.Killed == "" && o.How == "" && why[o.ID] == "" {
			t.Errorf("%s survives: %s\n%s", o.Where, o.What, o.ID)
		}
	}
}
