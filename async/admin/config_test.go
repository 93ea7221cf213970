package admin

import (
	"log/slog"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection"
	"github.com/asyncmsgr/asyncmsgr/dispatch"
	"github.com/stretchr/testify/require"
)

// TestConfig: what can be set is set in all messengers, is shown as it was set, and is in force.
func TestConfig(t *testing.T) {
	allow := func(c *async.Config) { c.AllowFaults = true }
	srv := messenger(t, entity.OSD(0), msg.StatefulServer(), echo{}, allow)
	cl := messenger(t, entity.Client(1), msg.LosslessClient(), echo{}, allow)
	for _, m := range []*async.Messenger{srv, cl} {
		m.SetPolicyThrottlers(entity.TypeOSD, dispatch.NewThrottle(1), dispatch.NewThrottle(1))
	}
	var level slog.LevelVar
	s := serve(t, Config{Messengers: []*async.Messenger{srv, cl}, Level: &level})
	set := func(name, to, shown string) {
		t.Helper()
		require.Contains(t, ask(t, s, `{"prefix":"config set","var":"`+name+`","val":["`+to+`"]}`), "success")
		for _, m := range []string{"osd.0", "client.1"} {
			require.Equal(t, shown, ask(t, s, "config get "+name+" "+m)[name], name)
			require.Equal(t, shown, ask(t, s, "config show "+m)[name], name)
		}
	}
	set("ms_dispatch_throttle_bytes", "5000", "5000")
	set("keepalive_interval", "10", "10.000000")
	set("keepalive_timeout", "90s", "90.000000")
	set("keepalive_timeout", "0", "-0.000000")
	set("log_level", "debug", "debug")
	set("throttle_osd_bytes", "77", "77")
	set("throttle_osd_messages", "78", "78")
	require.Equal(t, slog.LevelDebug, level.Level())
	require.EqualValues(t, 10*time.Second, cl.Settings().KeepaliveInterval)
	require.EqualValues(t, 5000, srv.Settings().DispatchThrottleBytes)

	set("ms_inject_socket_failures", "500", "500")
	set("ms_inject_network_congestion", "3", "3")
	set("ms_inject_delay_type", "osd mon", "mon osd")
	set("ms_inject_delay_msg_type", "7", "7")
	set("ms_inject_delay_probability", "0.25", "0.25")
	set("ms_inject_delay_max", "0.5", "0.500000")
	set("ms_blackhole_osd", "true", "true")
	set("ms_blackhole_client", "1", "true")
	set("ms_blackhole_osd", "false", "false")
	require.Equal(t, connection.Injected{
		SocketFailures: 500, Congestion: 3, DelayTypes: []entity.Type{entity.TypeMon, entity.TypeOSD}, DelayMessages: 7,
		DelayProbability: 0.25, DelayMax: 500 * time.Millisecond, Blackhole: []entity.Type{entity.TypeClient},
	}, cl.Faults().Look())
	was := ask(t, s, "config show")
	for command, want := range map[string]string{
		"config set ms_max_backoff 5":                "(1)",
		"config set ms_dispatch_throttle_bytes -5":   "(22)",
		"config set ms_dispatch_throttle_bytes x":    "no number",
		"config set keepalive_interval -1":           "must not be negative",
		"config set keepalive_interval NaN":          "no number of seconds",
		"config set keepalive_timeout x":             "no number of seconds",
		"config set log_level loud":                  "no level",
		"config set throttle_mon_bytes 7":            "no such throttle",
		"config set throttle_osd_bytes -1":           "(22)",
		"config set ms_inject_socket_failures -1":    "no number",
		"config set ms_inject_delay_type osd nobody": "no type of peers",
		"config set ms_inject_delay_msg_type 70000":  "no type of messages",
		"config set ms_inject_delay_probability 2":   "a probability of 2",
		"config set ms_inject_delay_probability NaN": "a probability of NaN",
		"config set ms_inject_delay_max 1000":        "at most 1m0s",
		"config set ms_blackhole_osd maybe":          "neither true nor false",
	} {
		require.Contains(t, refused(t, s, command), want, command)
	}
	require.Equal(t, was, ask(t, s, "config show"), "what is refused changes nothing")
}

// TestFaultsAreRefused: unless the messenger allows them.
func TestFaultsAreRefused(t *testing.T) {
	m := messenger(t, entity.Client(1), msg.LosslessClient(), echo{})
	s := serve(t, Config{Messengers: []*async.Messenger{m}})
	for _, o := range faultOptions() {
		require.Contains(t, refused(t, s, "config set "+o.name+" 1"), "(1)", o.name)
		require.NotEmpty(t, ask(t, s, "config show"), o.name)
	}
	none := serve(t, Config{})
	require.Contains(t, refused(t, none, "config show"), "no messenger")
	require.Contains(t, refused(t, none, "config set ms_dispatch_throttle_bytes 7"), "no messenger")
}
