package netpollstack

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// childEnv names the function of children that the test binary runs instead of
// the tests, for tests that need a process of their own.
const childEnv = "NETPOLLSTACK_TEST_CHILD"

var children = map[string]func(){}

func TestMain(m *testing.M) {
	if f := children[os.Getenv(childEnv)]; f != nil {
		f()
		os.Exit(0)
	}
	// netpoll's pollers live as long as the process.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/cloudwego/netpoll.(*defaultPoll).Wait"))
}
