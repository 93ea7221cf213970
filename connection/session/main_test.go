package session

import (
	"os"
	"testing"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// long runs take minutes: every order of events with two faults, every pair of
// cuts. The default run takes a sample of them.
var long = os.Getenv("ASYNCMSGR_LONG") != ""

func TestMain(m *testing.M) {
	// A message that is released too early then shows as wrong bytes.
	msg.PoisonBuffers = true
	os.Exit(m.Run())
}
