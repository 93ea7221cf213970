//go:build linux

package main

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async/interop"
)

// TestObject runs the example at a real cluster.
func TestObject(t *testing.T) {
	mon := interop.StartMon(t, interop.Cephx(t, "secure"))
	interop.StartOSD(t, mon)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_, stderr, err := interop.Ceph(ctx, t, mon.Conf, "osd", "pool", "create", "p", "1")
	require.NoError(t, err, stderr)
	require.NoError(t, run(mon.Conf, filepath.Join(filepath.Dir(mon.Conf), "keyring"), "p"))
	require.ErrorContains(t, run(mon.Conf, "absent", "p"), "no such file")
}
