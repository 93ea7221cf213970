package osd

import (
	"log/slog"
	"testing"

	"go.uber.org/goleak"

	"github.com/asyncmsgr/asyncmsgr/async"
)

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler)) // tests break everything
	// Those of the process stay.
	if _, err := async.DefaultStack(); err != nil {
		panic(err)
	}
	if _, err := async.DefaultExecutor(); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m, goleak.IgnoreCurrent(),
		goleak.IgnoreAnyFunction("github.com/panjf2000/ants/v2.(*goWorker).run.func1"), // they end when idle
		goleak.IgnoreAnyFunction("github.com/cloudwego/netpoll.(*defaultPoll).Wait"))
}
