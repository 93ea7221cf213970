package rivals

import (
	"net/netip"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/bench/workload"
)

// Async is this library's messenger as it is by default, with fast dispatch
// (async-fast) or dispatch from the queue (async-queue) at both ends.
func Async(fast bool) workload.Contestant {
	name := "async-queue"
	if fast {
		name = "async-fast"
	}
	return workload.Contestant{
		Name:  name,
		Serve: func(workload.Options) (workload.Server, error) { return serveMessenger(newAsync, fast) },
		Dial: func(addr string, _ workload.Options) (workload.Client, error) {
			return dialMessenger(newAsync, fast, addr)
		},
	}
}

func newAsync(name entity.Name, at netip.AddrPort) (messenger, error) {
	m, err := async.New(async.Config{Name: name, ListenBacklog: 4096})
	if err == nil && at.IsValid() {
		err = m.Bind(at)
	}
	return m, err
}
