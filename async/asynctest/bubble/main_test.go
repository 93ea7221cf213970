package bubble_test

import (
	"testing"

	"go.uber.org/goleak"
)

// ants keeps two goroutines for its default pool from the import on.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m, goleak.IgnoreCurrent()) }
