package stream

import (
	"testing"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	msg.PoisonBuffers = true
	goleak.VerifyTestMain(m, goleak.IgnoreCurrent(),
		goleak.IgnoreAnyFunction("github.com/cloudwego/netpoll.(*defaultPoll).Wait"))
}
