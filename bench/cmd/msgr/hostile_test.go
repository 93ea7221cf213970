//go:build linux && (amd64 || arm64 || loong64)

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/bench/hostile"
	"github.com/asyncmsgr/asyncmsgr/bench/internal/command"
	"github.com/asyncmsgr/asyncmsgr/bench/internal/command/commandtest"
)

// TestHostile: a row for each kind that was asked for, as a table and as JSON.
func TestHostile(t *testing.T) {
	var stdout, stderr bytes.Buffer
	args := []string{"hostile", "silent", "noise", "--connections", "5", "--seconds", "0.1"}
	// With so few connections what the server needs itself may be more than 16 KiB each.
	run(args, &stdout, &stderr)
	require.Regexp(t, `(?m)^ +kind +connections .* p99 ms.*$`, stdout.String())
	require.Regexp(t, `(?m)^ +silent +5 +5 `, stdout.String())
	require.Regexp(t, `(?m)^ +noise +5 `, stdout.String())
	require.Contains(t, stderr.String(), "silent: says nothing\n")

	stdout.Reset()
	stderr.Reset()
	run(append(args, "--json"), &stdout, &stderr)
	var rows []hostile.Row
	require.NoError(t, json.Unmarshal(stdout.Bytes(), &rows))
	require.Len(t, rows, 2)
	require.Positive(t, rows[0].Honest)
}

func TestHostileMisused(t *testing.T) {
	for _, args := range [][]string{
		{"hostile", "nice"}, {"hostile", "--connections", "0"}, {"hostile", "--connections", "100001"},
		{"hostile", "--seconds", "0"}, {"hostile", "--seconds", "NaN"},
	} {
		var stdout, stderr bytes.Buffer
		require.Equal(t, command.ExitUsage, run(args, &stdout, &stderr), args)
		require.Empty(t, stdout.String())
		require.NotEmpty(t, stderr.String())
	}
}

// TestHostileMissed: what is over a bound is named.
func TestHostileMissed(t *testing.T) {
	fits := hostile.Row{Connections: 100, KiBPerConnection: 16, Descriptors: 164, Lines: 96, P99: 5000}
	require.Empty(t, missed(&fits))
	over := hostile.Row{Connections: 100, KiBPerConnection: 16.1, Descriptors: 165, Lines: 97}
	require.Equal(t, "memory, descriptors, lines", missed(&over))
	var b bytes.Buffer
	require.NoError(t, printHostile(&b, []hostile.Row{over, {Kind: "x", Failed: "no server"}}))
	require.Contains(t, b.String(), "MISSED: memory, descriptors, lines")
	require.Contains(t, b.String(), "FAILED: no server")
}

// TestHostileInterrupted: the rows that were done are printed, as a table and as JSON.
func TestHostileInterrupted(t *testing.T) {
	kinds := hostile.Kinds()
	args := []string{"hostile", kinds[0].Name, kinds[1].Name, kinds[2].Name, "--connections=3", "--seconds=0.2"}
	code, stdout, stderr := commandtest.Interrupt(t, syscall.SIGINT, kinds[1].Name+": ", args...)
	require.Equal(t, command.ExitSIGINT, code, stderr)
	require.Regexp(t, `(?m)^ +`+kinds[0].Name+` +3 `, stdout)
	require.NotRegexp(t, `(?m)^ +`+kinds[2].Name+` `, stdout)
	require.Contains(t, stderr, "msgr hostile: interrupted by SIGINT\n")

	code, stdout, stderr = commandtest.Interrupt(t, syscall.SIGTERM, kinds[0].Name+": ", args...)
	require.Equal(t, command.ExitSIGTERM, code, stderr)
	require.Regexp(t, `^ +kind +connections `, stdout)

	ended, stop := context.WithCancel(context.Background())
	stop()
	rows, err := hostile.Run(ended, hostile.Config{Connections: 1})
	require.ErrorIs(t, err, context.Canceled)
	var out bytes.Buffer
	require.NoError(t, printHostileJSON(&out, rows))
	require.Equal(t, "[]\n", out.String(), "and not null")
}
