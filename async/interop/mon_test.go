//go:build linux

package interop

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// netpoll's pollers and ants' default pool live as long as the process.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreCurrent(),
		goleak.IgnoreAnyFunction("github.com/cloudwego/netpoll.(*defaultPoll).Wait"))
}

// testContext ends before the test binary's own time-out would.
func testContext(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// bannerOf is what every msgr2 peer of the installed release says first (docs/PROTOCOL.md 1.2): since
// quincy that it knows compression.
func bannerOf(t *testing.T) string {
	features := byte(1)
	if Release(t) >= "quincy" {
		features = 3
	}
	return "ceph v2\n\x10\x00" + string(features) + strings.Repeat("\x00", 15)
}

// TestMonHarness checks the harness alone, without the library: the monitor says
// its banner, answers a real client, and comes back after a stop and a crash.
func TestMonHarness(t *testing.T) {
	began := time.Now()
	mon := StartMon(t, MonOptions{})
	t.Logf("ready after %v", time.Since(began))
	require.Equal(t, bannerOf(t), readBanner(t, mon.Addr.String()))

	out, stderr, err := Ceph(testContext(t, 20*time.Second), t, mon.Conf, "ping", "mon.a")
	require.NoError(t, err, stderr)
	var status struct {
		Health any `json:"health"`
		Status struct {
			Name  string `json:"name"`
			State string `json:"state"`
		} `json:"mon_status"`
	}
	require.NoError(t, json.Unmarshal([]byte(out), &status))
	require.Equal(t, "a", status.Status.Name)
	require.Equal(t, "leader", status.Status.State)

	for _, end := range []func(){mon.Stop, mon.Kill} {
		end()
		_, err = net.Dial("tcp4", mon.Addr.String())
		require.Error(t, err)
		mon.Start()
		require.Equal(t, bannerOf(t), readBanner(t, mon.Addr.String()))
	}
}

func readBanner(t *testing.T, addr string) string {
	t.Helper()
	c, err := net.DialTimeout("tcp4", addr, 5*time.Second)
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, c.SetDeadline(time.Now().Add(5*time.Second)))
	b := make([]byte, 26)
	_, err = io.ReadFull(c, b)
	require.NoError(t, err)
	return string(b)
}

// TestOSDHarness checks that an OSD starts and tells its address.
func TestOSDHarness(t *testing.T) {
	osd := StartOSD(t, StartMon(t, MonOptions{}))
	require.Equal(t, bannerOf(t), readBanner(t, osd.Addr.AddrPort.String()))
	require.NotZero(t, osd.Addr.Nonce)
}
