package rivals

import (
	"net/netip"
	"runtime"

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
	c := workload.Contestant{
		Name:  name,
		Serve: func(workload.Options) (workload.Server, error) { return serveMessenger(create, fast) },
		Dial: func(addr string, _ workload.Options) (workload.Client, error) {
			return dialMessenger(create, fast, addr)
		},
	}
	if threads {
		c.Env = []string{threadProcs}
		c.Skip = func(workload.Scenario) string {
			if runtime.GOOS != "linux" {
				return "blocking sockets are for Linux only"
			}
			return ""
		}
	}
	return c
}

// threadProcs lets that many threads run Go code at a time: then one that comes out
// of a system call need not wait for the Go scheduler, and which of them runs is up
// to the kernel, as it is with threads elsewhere. On 2 CPUs, of 2, 8, 32 and 128
// this was the best for the threads.
const threadProcs = "GOMAXPROCS=8"
