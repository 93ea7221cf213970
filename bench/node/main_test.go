package node

import (
	"testing"

	"github.com/asyncmsgr/asyncmsgr/async"
	"go.uber.org/goleak"
)

// The shared stack and pool stay open for as long as the process.
func TestMain(m *testing.M) {
	_, _ = async.DefaultStack()
	_, _ = async.DefaultExecutor()
	goleak.VerifyTestMain(m, goleak.IgnoreCurrent(),
		goleak.IgnoreAnyFunction("github.com/panjf2000/ants/v2.(*goWorker).run.func1"))
}
