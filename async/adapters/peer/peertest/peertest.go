// Package peertest is what the tests of adapters share: messengers on a stack of their own,
// which ends with them, so that goroutines that are left over show.
//
// Implementation: not for users of the library; may change in any release.
package peertest

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/eventloop"
	"github.com/asyncmsgr/asyncmsgr/eventloop/netpollstack"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// stack is what the messengers are on while Main runs.
var stack eventloop.Stack

// Main is a TestMain: it runs the tests, and fails if a goroutine is left.
func Main(m *testing.M) {
	msg.PoisonBuffers = true
	s, err := netpollstack.Open(netpollstack.Config{})
	if err != nil {
		panic(err)
	}
	stack = s
	code := m.Run()
	if err := s.Close(); err != nil {
		panic(err)
	}
	// netpoll's pollers live as long as the process, and so do goroutines of ants.
	err = goleak.Find(goleak.IgnoreAnyFunction("github.com/cloudwego/netpoll.(*defaultPoll).Wait"),
		goleak.IgnoreAnyFunction("github.com/panjf2000/ants/v2.(*poolCommon).purgeStaleWorkers"),
		goleak.IgnoreAnyFunction("github.com/panjf2000/ants/v2.(*poolCommon).ticktock"),
		goleak.IgnoreAnyFunction("github.com/panjf2000/ants/v2.(*goWorker).run.func1"))
	if err != nil && code == 0 {
		fmt.Println(err)
		code = 1
	}
	os.Exit(code)
}

// Messenger returns osd.id, bound at that place, "127.0.0.1:0" for example, and not started.
// It is shut down when the test ends.
func Messenger(t testing.TB, id int64, at string) *async.Messenger {
	t.Helper()
	m, err := async.New(async.Config{
		Name: entity.OSD(id), Stack: stack, InitialBackoff: 10 * time.Millisecond,
		Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	m.SetPolicy(entity.TypeOSD, msg.LosslessPeerReuse())
	require.NoError(t, m.Bind(netip.MustParseAddrPort(at)))
	t.Cleanup(func() { require.NoError(t, m.Shutdown(context.Background())) })
	return m
}

// Until waits for what comes by itself, for a minute at most.
func Until(t testing.TB, what string, f func() bool) {
	t.Helper()
	require.Eventually(t, f, time.Minute, 5*time.Millisecond, what)
}
