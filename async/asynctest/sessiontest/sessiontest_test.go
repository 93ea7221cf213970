package sessiontest

import (
	"testing"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	msg.PoisonBuffers = true // a use after release shows
	goleak.VerifyTestMain(m, goleak.IgnoreCurrent(),
		// netpoll's pollers live as long as the process.
		goleak.IgnoreAnyFunction("github.com/cloudwego/netpoll.(*defaultPoll).Wait"))
}

// TestAsync: the suite between two messengers of package async.
func TestAsync(t *testing.T) { Run(t, Async(), Async()) }
