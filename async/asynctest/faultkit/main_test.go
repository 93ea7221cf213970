package faultkit

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	// netpoll's pollers live as long as the process.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/cloudwego/netpoll.(*defaultPoll).Wait"))
}
