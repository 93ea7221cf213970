package report

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

func answers(t *testing.T, rows []Row) map[string]string {
	t.Helper()
	pictures, err := Pictures(rows, reference)
	require.NoError(t, err)
	out := map[string]string{}
	for _, p := range pictures {
		require.NotEmpty(t, p.Answer, p.Title)
		require.NotEmpty(t, p.Plots, p.Title)
		for _, f := range p.Plots {
			require.Contains(t, string(f.SVG), "<svg", p.Title)
		}
		out[p.Title] = p.Answer
	}
	return out
}

func without(rows []Row, gone func(r *Row) bool) []Row {
	return slices.DeleteFunc(slices.Clone(rows), func(r Row) bool { return gone(&r) })
}

// Titles of the pictures of the fixture.
const (
	loopTitle, memoryTitle = "Throughput and CPU against connections", "Memory against connections"
)

// TestPictures: in the fixture contestant number i, from 0, is i+1 times as slow.
func TestPictures(t *testing.T) {
	require.Equal(t, map[string]string{
		loopTitle: "Beside threadpipe-goroutines, with 16 to 256 connections and messages of 64 B, 16 in flight " +
			"on each: async-fast carries 3.00 times its messages at 0.33 of its CPU, async-queue 1.50 times at " +
			"0.67 of its CPU, raw-net 0.30 times at 3.33 of its CPU (the floor, no messenger). The rounds of a " +
			"rate differ by up to 10 %.",
		memoryTitle: "With 1 000 to 10 000 connections that are idle, each costs the server 3.00 KiB with " +
			"async-fast (0.33 of threadpipe-goroutines; 5 goroutines, 8 threads at 10 000), 6.00 KiB with " +
			"async-queue (0.67 of threadpipe-goroutines; 10 goroutines, 8 threads at 10 000), 9.00 KiB with " +
			"threadpipe-goroutines (15 goroutines, 8 threads at 10 000).",
		"Latency": "Alone on its connection a message is answered after, median and 99th percentile, 50.0 and 200 " +
			"µs with async-fast, 100 and 400 µs with async-queue, 150 and 600 µs with threadpipe-goroutines, 500 " +
			"and 2 000 µs with raw-net. Offered 50 % of what each carries at most, the 99th percentile is 10 000 " +
			"µs with async-fast (500k/s), 20 000 µs with async-queue (500k/s), 30 000 µs with " +
			"threadpipe-goroutines (500k/s).",
	}, answers(t, fixture().Rows))
}

// TestPicturesSay: what the data say, against us too.
func TestPicturesSay(t *testing.T) {
	rows := fixture().Rows
	ours := find(rows, "pipelined/256/64/16", fast)
	ours.Msgs /= 10
	ours.Spread = 1.5
	find(rows, "pipelined/16/64/16", queue).Rounds, find(rows, "pipelined/16/64/16", queue).Failed = 0, "it hung"
	require.Equal(t, "Beside threadpipe-goroutines, with 16 to 256 connections and messages of 64 B, 16 in flight "+
		"on each: async-fast carries 0.30 to 3.00 times its messages at 0.33 of its CPU, async-queue 1.50 times "+
		"at 0.67 of its CPU, raw-net 0.30 times at 3.33 of its CPU (the floor, no messenger). The rounds of a "+
		"rate differ by up to 150 %. async-queue FAILED in pipelined/16/64/16.", answers(t, rows)[loopTitle])
}

// TestPicturesOfLittle: of a selection there are the pictures that it has data for, without
// the contestants that it does not have.
func TestPicturesOfLittle(t *testing.T) {
	all := fixture().Rows
	scenario := func(name string) []Row { return without(all, func(r *Row) bool { return r.Scenario != name }) }
	for name, titles := range map[string][]string{
		"ping-pong": {"Latency"}, "open/90": {"Latency"}, "idle/1000": {"Memory, 1 000 connections"},
		"pipelined/16/4096/16": {"Throughput and CPU, 16 connections"},
		"priority/on":          nil, "fan-out/lossy": nil, "faults/cut": nil,
	} {
		var got []string
		for title := range answers(t, scenario(name)) {
			got = append(got, title)
		}
		require.ElementsMatch(t, titles, got, name)
	}
	require.Equal(t, "Offered 90 % of what each carries at most, the 99th percentile is 18 000 µs with async-fast "+
		"(900k/s), 36 000 µs with async-queue (900k/s), 54 000 µs with threadpipe-goroutines (900k/s).",
		answers(t, scenario("open/90"))["Latency"])
	require.Equal(t, "With 1 000 connections that are idle, each costs the server 3.00 KiB with async-fast (5 "+
		"goroutines, 8 threads).", answers(t, without(scenario("idle/1000"), func(r *Row) bool {
		return r.Contestant != fast
	}))["Memory, 1 000 connections"])

	others := answers(t, without(all, func(r *Row) bool { return r.Contestant == fast || r.Contestant == queue }))
	const nothing = "No result of this library's messenger."
	require.Equal(t, nothing, others[loopTitle])
	require.Equal(t, nothing, others[memoryTitle])
	require.Equal(t, nothing+" Under given load there is no result of this library's messenger.", others["Latency"])

	alone := answers(t, without(all, func(r *Row) bool { return r.Contestant == reference }))
	require.Equal(t, "With messages of 64 B, 16 in flight on each connection async-fast carries 1M messages a "+
		"second, async-queue carries 500k messages a second; nothing to compare with, threadpipe-goroutines has "+
		"no result there.",
		alone[loopTitle])
	for _, s := range alone {
		require.NotContains(t, s, " of threadpipe-goroutines")
	}
}
