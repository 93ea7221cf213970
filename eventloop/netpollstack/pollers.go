//go:build linux

package netpollstack

import (
	"runtime"
	"sync"

	"github.com/cloudwego/netpoll"
)

// pollers is the one place that touches netpoll's process-wide settings.
var pollers = struct {
	mu      sync.Mutex // also held while workers register, netpoll's own state is not guarded
	raised  int        // what netpoll was set to; it starts with this number
	workers int        // of all open stacks
}{raised: runtime.GOMAXPROCS(0)/20 + 1}

// raisePollers makes room for n more workers; pollers.mu is held. netpoll grows
// when it next picks a poller and closes none as long as the number only rises.
func raisePollers(n, least int) error {
	pollers.workers += n
	want := max(pollers.workers, least)
	if want <= pollers.raised {
		return nil
	}
	//lint:ignore SA1019 Configure would also reset the process's load balance and no-copy settings
	if err := netpoll.SetNumLoops(want); err != nil {
		return err
	}
	pollers.raised = want
	return nil
}
