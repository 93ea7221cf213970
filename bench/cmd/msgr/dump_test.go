package main

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/admin"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/bench/internal/command"
	"github.com/asyncmsgr/asyncmsgr/bench/internal/command/commandtest"
	"github.com/stretchr/testify/require"
)

// TestDump: msgr dump prints what an admin socket answers, and fails when that refuses.
func TestDump(t *testing.T) {
	m, err := async.New(async.Config{Name: entity.OSD(7), Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	require.NoError(t, m.Start())
	defer func() { require.NoError(t, m.Shutdown(context.Background())) }()
	path := filepath.Join(t.TempDir(), "a.asok")
	s, err := admin.Listen(admin.Config{Path: path, Messengers: []*async.Messenger{m}, Version: "v7",
		Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	dump := func(args ...string) (string, string, int) {
		var out, errs bytes.Buffer
		code := run(append([]string{"dump"}, args...), &out, &errs)
		return out.String(), errs.String(), code
	}
	for _, x := range []struct {
		args []string
		has  string
	}{
		{[]string{path}, `"name": "osd.7"`},
		{[]string{path, "version"}, `"v7"`},
		{[]string{path, "perf", "dump"}, `"msgr-osd.7"`},
		{[]string{path, "messenger", "dump", "osd.7"}, `"connections"`},
		{[]string{path, `{"prefix":"config get","var":"ms_max_backoff"}`}, `"15.000000"`},
		{[]string{path, "config", "set", "keepalive_interval", "10"}, `"success"`},
	} {
		out, errs, code := dump(x.args...)
		require.Zero(t, code, errs)
		require.True(t, json.Valid([]byte(out)), out)
		require.Contains(t, out, x.has)
	}
	for _, x := range []struct {
		args []string
		has  string
	}{
		{[]string{path, "nonsense"}, "unknown command prefix"},
		{[]string{path, "config", "set", "ms_max_backoff", "5"}, "cannot be changed"},
		{[]string{path + "2"}, "no such file"},
	} {
		out, errs, code := dump(x.args...)
		require.Equal(t, 1, code)
		require.Empty(t, out)
		require.Contains(t, errs, x.has)
	}
	_, _, code := dump(path, "--timeout", "0s")
	require.NotZero(t, code)
}

// TestTop: the table and the JSON of msgr top, and a signal that ends it.
func TestTop(t *testing.T) {
	m, err := async.New(async.Config{Name: entity.OSD(7), Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	require.NoError(t, m.Start())
	defer func() { require.NoError(t, m.Shutdown(context.Background())) }()
	path := filepath.Join(t.TempDir(), "a.asok")
	s, err := admin.Listen(admin.Config{Path: path, Messengers: []*async.Messenger{m},
		Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	var out, errs bytes.Buffer
	require.Zero(t, run([]string{"top", path, "--once", "--interval", "10ms"}, &out, &errs), errs.String())
	require.Contains(t, out.String(), "osd.7: 0 conns")
	require.Contains(t, out.String(), "PEER        ADDRESS")
	out.Reset()
	require.Zero(t, run([]string{"top", path, "-n", "2", "-interval", "10ms", "-json"}, &out, &errs), errs.String())
	require.Equal(t, 2, bytes.Count(out.Bytes(), []byte(`"connections":[]`)), out.String())

	p := commandtest.Start(t, "top", path, "--interval=10ms")
	p.WaitFor(t, "osd.7: 0 conns")
	require.NoError(t, p.Signal(syscall.SIGINT))
	code, _, stderr := p.End(t)
	require.Equal(t, command.ExitSIGINT, code)
	require.Equal(t, "msgr top: interrupted by SIGINT\n", stderr)
}
