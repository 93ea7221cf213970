package simulate

import (
	"testing"

	"go.uber.org/goleak"
)

// ants starts goroutines of its own when it is linked in.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m, goleak.IgnoreCurrent()) }
