package rivals

import (
	"net/netip"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/bench/compare/workload"
	"github.com/asyncmsgr/asyncmsgr/eventloop/netpollstack"
)

// Async is this library's messenger as it is by default, with fast dispatch
// (async-fast) or dispatch from the queue (async-queue) at both ends.
func Async(fast bool) workload.Contestant {
	c := messengerContestant("async-queue", newAsync, fast)
	c.Tunable = true
	if fast {
		c.Name = "async-fast"
		c.Skip = func(s workload.Scenario) string {
			if s.Options.DrainWidth > 0 {
				return "its messages do not go through the queue"
			}
			return ""
		}
	}
	return c
}

// newAsync makes messengers that share the process's stack and pool, or a stack with
// as many workers as asked for, which ends with the process.
func newAsync(o workload.Options) (makeMessenger, error) {
	cfg := async.Config{ListenBacklog: 4096, DispatchWidth: o.DrainWidth}
	if o.Workers > 0 {
		var err error
		if cfg.Stack, err = netpollstack.Open(netpollstack.Config{Workers: o.Workers}); err != nil {
			return nil, err
		}
	}
	return func(name entity.Name, at netip.AddrPort) (messenger, error) {
		cfg := cfg
		cfg.Name = name
		m, err := async.New(cfg)
		if err == nil && at.IsValid() {
			err = m.Bind(at)
		}
		return m, err
	}, nil
}
