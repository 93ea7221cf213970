package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/asyncmsgr/asyncmsgr/bench/compare/cephperf"
	"github.com/asyncmsgr/asyncmsgr/bench/compare/report"
	"github.com/asyncmsgr/asyncmsgr/bench/compare/workload"
	"github.com/asyncmsgr/asyncmsgr/bench/internal/command"
)

// cephScenario is the exchange of Ceph's own messenger test as a scenario of the
// comparison: both ends in one process, as that test was run.
const cephScenario = "ceph-perf"

const (
	cephJobs   = 16
	cephWindow = 64
	cephLength = 64
	// cephPatience is how long a round may take; cephRound how long one does, about.
	cephPatience = 60 * time.Second
	cephRound    = 400 * time.Millisecond
)

// cephMessages is how many a job sends. A contestant of 500 000 messages a second takes
// a fifth of a second for all of them.
const cephMessages = 6000

// cephFlags are those that make ceph-perf be a contestant; the others have no part.
var cephFlags = map[string][]string{
	"async-fast":            nil,
	"async-queue":           {"--queue"},
	"threadpipe-goroutines": {"--threadpipe"},
	"threadpipe-queue":      {"--threadpipe", "--queue"},
}

func cephEstimate(cfg workload.Config) time.Duration {
	n := 0
	for _, c := range cfg.Contestants {
		if _, ok := cephFlags[c.Name]; ok {
			n++
		}
	}
	return time.Duration(n*cfg.Rounds) * cephRound
}

// cephRows runs ceph-perf in processes of their own, as Run of package workload runs
// scenarios. An error means that ctx ended: rows of which rounds are missing are Partial.
func cephRows(ctx context.Context, cfg workload.Config) (rows []report.Row, samples []report.Sample, err error) {
	all := make([][]report.Row, len(cfg.Contestants))
	measured := false
	for round := range cfg.Rounds {
		for i := range cfg.Contestants {
			i = (i + round) % len(cfg.Contestants)
			row := emptyCephRow(cfg.Contestants[i].Name)
			if ctx.Err() == nil {
				if cfg.Progress != nil {
					cfg.Progress(workload.Scenario{Name: cephScenario}, round, row.Contestant)
				}
				row = cephRow(ctx, row)
			}
			if row.Rounds == 0 && row.Skipped == "" && ctx.Err() != nil { // its process was killed
				row = emptyCephRow(row.Contestant)
				row.Partial = true
			}
			measured = measured || row.Rounds > 0 || row.Failed != ""
			all[i] = append(all[i], row)
		}
	}
	if ctx.Err() != nil && !measured {
		return nil, nil, ctx.Err()
	}
	ref := slices.IndexFunc(cfg.Contestants, func(c workload.Contestant) bool { return c.Name == cfg.Reference })
	for i := range all {
		for n := range all[i] {
			if r := &all[i][n]; ref >= 0 && r.Rounds > 0 && all[ref][n].Rounds > 0 {
				r.Ratio = r.Msgs / all[ref][n].Msgs
			}
		}
		rows = append(rows, medianRow(all[i]))
	}
	for n := range cfg.Rounds {
		for i := range all {
			if !all[i][n].Partial {
				samples = append(samples, report.Sample{Row: all[i][n], Round: n + 1})
			}
		}
	}
	return rows, samples, ctx.Err()
}

func emptyCephRow(contestant string) report.Row {
	return report.Row{
		Scenario: cephScenario, Contestant: contestant, Connections: cephJobs, Window: cephWindow, Size: cephLength,
		Syscalls: -1, CtxSwitches: -1, Allocs: -1,
	}
}

// cephRow is one round of the contestant of an empty row.
func cephRow(ctx context.Context, r report.Row) report.Row {
	flags, ok := cephFlags[r.Contestant]
	if !ok {
		r.Skipped = "it has no such messages, or needs other settings for the whole process"
		return r
	}
	res, err := cephProcess(ctx, flags)
	if err != nil {
		r.Failed = err.Error()
		return r
	}
	r.Rounds = 1
	r.Msgs, r.MB, r.P50, r.P99, r.P999 = res.Rate, res.MB, res.P50, res.P99, res.P999
	r.CPU, r.Goroutines, r.Threads = res.CPU(), res.Client.Goroutines, res.Client.Threads
	r.PeakRSS = float64(res.Client.RSS)
	return r
}

// cephProcess runs msgrbench ceph-perf.
func cephProcess(ctx context.Context, flags []string) (r cephperf.Result, err error) {
	exe, err := os.Executable()
	if err != nil {
		return r, err
	}
	ctx, cancel := context.WithTimeout(ctx, cephPatience)
	defer cancel()
	args := append([]string{
		"ceph-perf", "--json", "--jobs", strconv.Itoa(cephJobs), "--window", strconv.Itoa(cephWindow),
		"--messages", strconv.Itoa(cephMessages), "--length", strconv.Itoa(cephLength),
	}, flags...)
	cmd := exec.CommandContext(ctx, exe, args...)
	cmd.Env = append(os.Environ(), command.MainEnv+"=1", command.ChildEnv+"=1")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return r, fmt.Errorf("%w: %s", err, strings.TrimSpace(stderr.String()))
	}
	if err := json.Unmarshal(out, &r); err != nil {
		return r, err
	}
	if r.Client == nil || r.Rate == 0 {
		return r, errors.New("no result")
	}
	return r, nil
}

// medianRow has the medians of rounds.
func medianRow(rounds []report.Row) report.Row {
	out := rounds[0]
	var good []report.Row
	for _, r := range rounds {
		if r.Rounds > 0 {
			good = append(good, r)
		}
		out.Failed = cmp.Or(r.Failed, out.Failed)
		out.Partial = out.Partial || r.Partial
	}
	out.Rounds = len(good)
	if len(good) == 0 {
		return out
	}
	of := func(f func(r *report.Row) float64) float64 {
		x := make([]float64, len(good))
		for i := range good {
			x[i] = f(&good[i])
		}
		slices.Sort(x)
		return (x[(len(x)-1)/2] + x[len(x)/2]) / 2
	}
	out.Msgs = of(func(r *report.Row) float64 { return r.Msgs })
	out.MB = of(func(r *report.Row) float64 { return r.MB })
	out.P50 = of(func(r *report.Row) float64 { return r.P50 })
	out.P99 = of(func(r *report.Row) float64 { return r.P99 })
	out.P999 = of(func(r *report.Row) float64 { return r.P999 })
	out.CPU = of(func(r *report.Row) float64 { return r.CPU })
	out.PeakRSS = of(func(r *report.Row) float64 { return r.PeakRSS })
	out.Goroutines = int(of(func(r *report.Row) float64 { return float64(r.Goroutines) }))
	out.Threads = int(of(func(r *report.Row) float64 { return float64(r.Threads) }))
	out.Ratio = of(func(r *report.Row) float64 { return r.Ratio })
	byRate := func(a, b report.Row) int { return cmp.Compare(a.Msgs, b.Msgs) }
	out.Spread = (slices.MaxFunc(good, byRate).Msgs - slices.MinFunc(good, byRate).Msgs) / out.Msgs
	return out
}
