package main

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/asyncmsgr/asyncmsgr/bench/internal/command"
	"github.com/asyncmsgr/asyncmsgr/bench/simulate"
)

type mergeCmd struct {
	Files []string `arg:"" name:"file" help:"What msgr sim --seeds=A-B --shard=I/N --json has printed, or msgr sim-merge --json."`
	JSON  bool     `name:"json" help:"Print one JSON object, which msgr sim-merge reads in turn."`
}

// Help is shown by msgr sim-merge --help.
func (mergeCmd) Help() string {
	return `Adds up the shards of a campaign: seeds, faults, coverage, costs and failures.

Examples:
  for i in 0 1 2 3; do msgr sim -scenario swarm -seeds 1-40000 -shard $i/4 -json >$i.json; done
  msgr sim-merge [0-3].json

Shards of another program, of other flags, with seeds that another file has, or that were
interrupted are refused. The exit code is 1 if an invariant was violated, if seeds are
missing, or if a swarm of 2000 seeds has not reached all that it can.`
}

// mergeMax bounds how long a file may be.
const mergeMax = 256 << 20

// Run merges the files.
func (c *mergeCmd) Run(w io.Writer) error {
	var all []*simulate.Campaign
	for _, name := range c.Files {
		one, err := readCampaign(name)
		if err != nil {
			return command.Usage(fmt.Errorf("%s: %w", name, err))
		}
		all = append(all, one)
	}
	sum, err := simulate.Merge(all)
	if err != nil {
		return command.Usage(err)
	}
	if c.JSON {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		err = e.Encode(mergedJSON{sum})
	} else {
		err = printCampaign(w, sum)
	}
	return errors.Join(err, verdict(sum))
}

// mergedJSON has a campaign where msgr sim has it, and nothing else.
type mergedJSON struct {
	Campaign *simulate.Campaign `json:"campaign"`
}

// readCampaign reads the campaign of a file.
func readCampaign(name string) (*simulate.Campaign, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, mergeMax+1))
	if err != nil {
		return nil, err
	}
	if len(b) > mergeMax {
		return nil, fmt.Errorf("more than %d bytes", mergeMax)
	}
	var j mergedJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return nil, fmt.Errorf("not what msgr sim --json prints: %w", err)
	}
	if j.Campaign == nil {
		return nil, errors.New("there is no campaign in it: msgr sim prints one with --seeds=A-B and --json")
	}
	return j.Campaign, j.Campaign.Check()
}

// verdict is why a campaign is no success; nil if it is one.
func verdict(c *simulate.Campaign) error {
	var errs []error
	if c.Violations > 0 {
		text := fmt.Sprintf("%d violations", c.Violations)
		if len(c.Failed) > 0 {
			text += fmt.Sprintf(" in %d seeds; repeat one: msgr sim %s -seed %d",
				len(c.Failed), c.Run, c.Failed[0].Seed)
		}
		errs = append(errs, errors.New(text))
	}
	if len(c.Missing) > 0 {
		errs = append(errs, fmt.Errorf("seeds are missing: %s", listed(c.Missing)))
	}
	if missed := c.Missed(); len(missed) > 0 && len(c.Coverage) > 0 && c.Seeds >= simulate.CoverageSeeds {
		errs = append(errs, fmt.Errorf("%d pairs of frame and state were never reached: %s",
			len(missed), strings.Join(missed, ", ")))
	}
	return errors.Join(errs...)
}

// listed are some ranges of seeds in words.
func listed(all []simulate.Seeds) string {
	const most = 8
	var text []string
	for _, s := range all[:min(len(all), most)] {
		text = append(text, s.String())
	}
	if more := len(all) - most; more > 0 {
		text = append(text, fmt.Sprintf("and %d ranges more", more))
	}
	return strings.Join(text, ", ")
}

// printCampaign prints a campaign for people.
func printCampaign(w io.Writer, c *simulate.Campaign) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) { fmt.Fprintf(t, "%s\t%s\n", name, fmt.Sprintf(format, args...)) }
	var parts []simulate.Seeds
	for _, p := range c.Parts {
		parts = append(parts, p.Seeds)
	}
	row("run", "%s", c.Run)
	row("build", "%s", c.Build)
	row("seeds", "%d in %d parts: %s", c.Seeds, len(parts), listed(parts))
	took := time.Duration(c.SeedsS * float64(time.Second))
	row("time", "%v, one seed after the other; %v virtual", took.Round(time.Second),
		time.Duration(c.VirtualS*float64(time.Second)).Round(time.Second))
	row("deliveries", "%d of %d messages sent", c.Deliveries, c.Sent)
	if len(c.FaultKinds) > 0 {
		var kinds []string
		for _, k := range slices.Sorted(maps.Keys(c.FaultKinds)) {
			kinds = append(kinds, fmt.Sprintf("%s %d", k, c.FaultKinds[k]))
		}
		row("faults", "%s", strings.Join(kinds, ", "))
	}
	if len(c.Coverage) > 0 {
		row("coverage", "%d triples of state, frame and fault; %d pairs of state and frame were not reached",
			len(c.Coverage), len(c.Missed()))
	}
	for _, k := range c.Costs {
		row("cost", "%d %s, at most %d: seed %d", k.N, k.What, k.AtMost, k.Seed)
	}
	row("violations", "%d", c.Violations)
	for _, f := range c.Failed[:min(len(c.Failed), 20)] {
		row("", "seed %d: %s", f.Seed, strings.Join(f.Violated, "; "))
	}
	return t.Flush()
}

// build tells one binary from another: the same on all machines.
func build() string {
	version := "(devel)"
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		version = info.Main.Version
	}
	text := fmt.Sprintf("msgr %s %s %s/%s", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	name, err := os.Executable()
	if err != nil {
		return text
	}
	f, err := os.Open(name)
	if err != nil {
		return text
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return text
	}
	return fmt.Sprintf("%s %x", text, h.Sum(nil)[:8])
}
