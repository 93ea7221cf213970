package rivals

import (
	"fmt"
	"net/netip"
	"runtime"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/bench/compare/workload"
	"github.com/asyncmsgr/asyncmsgr/bench/threadpipe"
)

// Threadpipe is the messenger with a reader and a writer for each connection, with
// fast dispatch or from the queue, by goroutines or OS threads. Threads do what
// SimpleMessenger did: a write for each message; with batch they write as much at a
// time as the goroutines.
func Threadpipe(name string, fast, threads, batch bool) workload.Contestant {
	c := messengerContestant(name, func(workload.Options) (makeMessenger, error) {
		return func(name entity.Name, at netip.AddrPort) (messenger, error) {
			m, err := threadpipe.New(threadpipe.Config{Name: name, Threads: threads, Batch: batch})
			if err == nil && at.IsValid() {
				err = m.Bind(at)
			}
			return m, err
		}, nil
	}, fast)
	if threads {
		c.Env = []string{threadProcs}
		c.Skip = skipThreads
	}
	return c
}

// threadsMax is how many connections a process with two threads for each of them may
// have: 32768 is the number of threads that Linux allows by default on all of a
// machine's processes together, and here there are two of them.
const threadsMax = 4000

func skipThreads(s workload.Scenario) string {
	switch {
	case runtime.GOOS != "linux":
		return "blocking sockets are for Linux only"
	case s.Connections > threadsMax:
		return fmt.Sprintf("both processes together would need %d OS threads", 4*s.Connections)
	}
	return ""
}

// threadProcs lets that many threads run Go code at a time: then one that comes out
// of a system call need not wait for the Go scheduler, and which of them runs is up
// to the kernel, as it is with threads elsewhere. On 2 CPUs, of 2, 8, 32 and 128
// this was the best for the threads.
const threadProcs = "GOMAXPROCS=8"
