package session

import (
	"flag"
	"os"
	"testing"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// long runs take minutes: every order of events with more than one fault, every pair of
// cuts. The default run takes a sample of them.
var long = os.Getenv("ASYNCMSGR_LONG") != ""

func TestMain(m *testing.M) {
	// A message that is released too early then shows as wrong bytes.
	msg.PoisonBuffers = true
	flag.Set("rapid.checks", "1500") // -rapid.checks on the command line comes after
	flag.Parse()
	if testing.Short() {
		slow = max(slow, 5)
	}
	os.Exit(m.Run())
}
