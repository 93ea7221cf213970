package rivals

import (
	"net/netip"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/bench/threadpipe"
	"github.com/asyncmsgr/asyncmsgr/bench/workload"
)

// Threadpipe is the messenger with a reader and a writer for each connection, with
// fast dispatch or from the queue, by goroutines or OS threads.
func Threadpipe(name string, fast, threads bool) workload.Contestant {
	create := func(name entity.Name, at netip.AddrPort) (messenger, error) {
		m, err := threadpipe.New(threadpipe.Config{Name: name, Threads: threads})
		if err == nil && at.IsValid() {
			err = m.Bind(at)
		}
		return m, err
	}
	return workload.Contestant{
		Name:  name,
		Serve: func() (workload.Server, error) { return serveMessenger(create, fast) },
		Dial:  func(addr string) (workload.Client, error) { return dialMessenger(create, fast, addr) },
	}
}
