package admin

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/asynctest"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/dispatch"
	"github.com/stretchr/testify/require"
)

var rewrite = flag.Bool("rewrite", false, "write testdata/answers.jsonl anew; read the diff")

// TestGolden: two messengers on a simulated network, in virtual time: one dispatches nothing, a
// connection was cut, and messages of two priorities wait. One line for each command, and the answer to it.
func TestGolden(t *testing.T) {
	c := asynctest.NewCluster(t, asynctest.Options{Seed: 1, N: 2, Config: func(_ int, cfg *async.Config) {
		cfg.AllowFaults = true
	}})
	c.Nodes[1].SetPolicyThrottlers(c.Nodes[0].Name().Type, nil, dispatch.NewThrottle(4000))
	require.NoError(t, c.Send(0, 1, 100, 0))
	c.Run(time.Second)
	c.Stick(1)
	for i := range 4 {
		require.NoError(t, c.Send(0, 1, 1000, []uint8{0, msg.PriorityHigh}[i%2]))
	}
	c.Cut(0)
	c.Run(10 * time.Second)
	var ms []*async.Messenger
	for _, n := range c.Nodes {
		ms = append(ms, n.Messenger)
	}
	d, err := newDesk(&Config{Path: "/run/a.asok", Messengers: ms, Version: "v1", answerMax: AnswerMax})
	require.NoError(t, err)
	var got bytes.Buffer
	for _, command := range []string{
		"help", "version", "perf dump", "perf schema throttle-msgr_dispatch_throttler-osd.0",
		"perf histogram dump msgr-osd.1 queue_wait_histogram", "messenger dump", "dispatch dump osd.1",
		"config show osd.1", "config get nothing", "get_command_descriptions",
	} {
		a := d.answer([]byte(command))
		var line bytes.Buffer
		if IsRefusal(a) {
			fmt.Fprintf(&line, "%q", a)
		} else {
			require.NoError(t, json.Compact(&line, a))
		}
		fmt.Fprintf(&got, "{\"command\":%q,\"answer\":%s}\n", command, &line)
	}
	c.Free(1)
	c.Run(time.Minute)
	const file = "testdata/answers.jsonl"
	if *rewrite {
		require.NoError(t, os.MkdirAll("testdata", 0o777))
		require.NoError(t, os.WriteFile(file, got.Bytes(), 0o666))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	wants, gots := bytes.Split(want, []byte("\n")), bytes.Split(got.Bytes(), []byte("\n"))
	require.Len(t, gots, len(wants))
	for i := range wants {
		require.Equal(t, string(wants[i]), string(gots[i]))
	}
}
