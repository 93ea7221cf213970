package stream

import (
	"errors"
	"log/slog"
	"testing"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/eventloop"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	msg.PoisonBuffers = true
	slog.SetDefault(slog.New(slog.DiscardHandler)) // tests break everything
	// The examples use what all messengers of a process share, which lives as long as it does.
	_, err := async.DefaultStack()
	if _, err2 := async.DefaultExecutor(); err != nil && !errors.Is(err, eventloop.ErrNotSupported) || err2 != nil {
		panic(errors.Join(err, err2))
	}
	goleak.VerifyTestMain(m, goleak.IgnoreCurrent(),
		goleak.IgnoreAnyFunction("github.com/cloudwego/netpoll.(*defaultPoll).Wait"),
		goleak.IgnoreAnyFunction("github.com/panjf2000/ants/v2.(*goWorker).run.func1"))
}
