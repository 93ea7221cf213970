package workload

import (
	"context"
	"errors"
)

// round is what one contestant did in one round.
type round struct {
	Result
	server, client usage   // used during the measurement; RSS, goroutines, threads at its end
	rss            float64 // KiB for each connection
	syscalls       float64 // a message; -1: not counted
	rate           float64 // offered, in an open loop
	err            error
}

var (
	errSkipped     = errors.New("skipped")
	errInterrupted = errors.New("interrupted")
)

// value is what contestants are compared by.
func (r *round) value(s Scenario) float64 {
	switch {
	case s.idle():
		return r.rss
	case !s.rising():
		return r.P99
	case r.Seconds == 0:
		return 0
	}
	return float64(r.Msgs) / r.Seconds
}

// total is how many messages usage is for.
func (r *round) total() float64 {
	if r.Total > 0 {
		return float64(r.Total)
	}
	return float64(r.Msgs)
}

// play is one round of one contestant. With a counter it counts system calls too,
// after the measurement.
func play(ctx context.Context, exe string, c *Contestant, o order, count counter) (r round) {
	s := o.Scenario
	o.Contestant = c.Name
	r.syscalls, r.rate = -1, o.Rate
	server, a, err := launch(ctx, exe, c, order{Contestant: c.Name, Scenario: s, patience: o.patience})
	if err != nil {
		r.err = err
		return r
	}
	defer func() { r.err = server.end(r.err) }()
	first, last := askBegin, askUse
	if s.idle() {
		first, last = askTidy, askTidy
	}
	o.Server = a.Addr
	if s.idle() {
		if err := comeAndGo(ctx, exe, c, o); err != nil {
			r.err = err
			return r
		}
	}
	empty, err := server.ask(askTidy)
	if err != nil {
		r.err = err
		return r
	}
	client, _, err := launch(ctx, exe, c, o)
	if err != nil {
		r.err = err
		return r
	}
	defer func() { r.err = client.end(r.err) }()
	before, err := server.ask(first)
	if err != nil {
		r.err = err
		return r
	}
	res, err := client.ask(askGo)
	if err != nil {
		r.err = err
		return r
	}
	after, err := server.ask(last)
	if err != nil {
		r.err = err
		return r
	}
	if res.Msgs == 0 && !s.idle() {
		r.err = errors.New("no answers")
		return r
	}
	r.Result = res.Result
	r.server, r.client = after.Usage.since(before.Usage), res.Usage.since(res.Before)
	r.rss = float64(after.Usage.RSS-empty.Usage.RSS) / float64(s.Connections)
	if count != nil {
		r.syscalls, r.err = countRound(client, server, count)
	}
	return r
}

// comeAndGo is one connection that is closed again: what the server allocates and
// loads once is there then, and what the others take is what each of them takes.
func comeAndGo(ctx context.Context, exe string, c *Contestant, o order) error {
	o.Scenario.Connections = 1
	first, _, err := launch(ctx, exe, c, o)
	if err != nil {
		return err
	}
	return first.end(nil)
}

// countRound measures once more, with system calls counted. It is -1 if they
// cannot be.
func countRound(client, server *process, count counter) (perMsg float64, err error) {
	stop, err := count([]int{client.cmd.Process.Pid, server.cmd.Process.Pid})
	if err != nil {
		return -1, nil //nolint:nilerr // a process may be beyond what can be counted
	}
	res, err := client.ask(askCount)
	n, cerr := stop()
	if err != nil {
		return -1, err
	}
	if cerr != nil || res.Msgs == 0 {
		return -1, nil
	}
	return float64(n) / float64(res.Msgs), nil
}
