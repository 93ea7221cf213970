package demo

import (
	"context"
	"encoding/json"
	"path/filepath"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/admin"
	"github.com/stretchr/testify/require"
)

// TestDemoAdmin: the demo is asked while it runs, its connections are broken through the
// socket, and its promises hold all the same.
func TestDemoAdmin(t *testing.T) {
	cfg := small()
	cfg.Duration = time.Hour // until it has been asked
	cfg.Admin = filepath.Join(t.TempDir(), "a.asok")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	began, ended := make(chan struct{}), make(chan error, 1)
	cfg.Began = func(*Report) { close(began) }
	var r *Report
	go func() {
		var err error
		r, err = Run(ctx, cfg)
		ended <- err
	}()
	select {
	case <-began:
	case err := <-ended:
		require.NoError(t, err)
	}
	ask := func(command string) []byte {
		b, err := admin.Ask(cfg.Admin, []byte(command), time.Minute)
		require.NoError(t, err)
		require.False(t, admin.IsRefusal(b), "%s", b)
		return b
	}
	ask("config set ms_inject_socket_failures 300")
	for replayed := 0.0; replayed == 0; {
		var d map[string]map[string]any
		require.NoError(t, json.Unmarshal(ask("perf dump"), &d))
		replayed = d["msgr-osd.0"]["replayed"].(float64)
	}
	ask("config set ms_inject_socket_failures 0")
	cancel()
	require.NoError(t, <-ended)
	require.True(t, r.Interrupted)
	require.True(t, r.OK, "%+v", r)
	require.NoFileExists(t, cfg.Admin)
}
