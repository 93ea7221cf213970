package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"github.com/asyncmsgr/asyncmsgr/bench/compare/cephperf"
	"github.com/asyncmsgr/asyncmsgr/bench/compare/report"
	"github.com/asyncmsgr/asyncmsgr/bench/internal/command"
)

type cephPerfCmd struct {
	Serve      string        `xor:"side" placeholder:"IP:PORT" help:"Be the server only, until interrupted."`
	Connect    string        `xor:"side" placeholder:"IP:PORT" help:"Be the clients only, of a server started with --serve."`
	Jobs       int           `default:"16" help:"How many connections, each of a messenger of its own."`
	Window     int           `default:"64" help:"How many requests each connection has in flight."`
	Messages   int           `default:"50000" help:"How many requests each connection sends in all."`
	Length     int           `default:"64" help:"Bytes of data in a request."`
	Think      time.Duration `default:"0s" help:"Time a server takes for a request, and a job's pause after each."`
	Queue      bool          `help:"Dispatch through the queue and the pool instead of on the event loop."`
	Threads    int           `help:"How many connections a server dispatches from its queue at the same time; 0: 4."`
	Workers    int           `help:"How many event loops; 0: as many as processors."`
	Threadpipe bool          `help:"Measure the messenger with two goroutines for each connection instead."`
	Patience   time.Duration `default:"30s" help:"How long connecting may take, and how long all replies may stay out."`
	PID        int           `name:"pid" help:"The server's process here, to see its CPU; 0: the server is asked."`
	JSON       bool          `name:"json" help:"Print one JSON object instead of text."`
}

// Help is shown by msgrbench ceph-perf --help.
func (cephPerfCmd) Help() string {
	return `Takes what Ceph's own messenger test takes, and exchanges what it exchanges:

  ceph_perf_msgr_server IP:PORT WORKERS THINK
  msgrbench ceph-perf --serve IP:PORT --threads WORKERS --think THINK

  ceph_perf_msgr_client IP:PORT JOBS WINDOW MESSAGES THINK LENGTH
  msgrbench ceph-perf --connect IP:PORT --jobs JOBS --window WINDOW --messages MESSAGES --think THINK --length LENGTH

Either end can be Ceph's. A server of --serve is asked what CPU it has used, and says so;
Ceph's does not, and --pid has its process looked at.

Without --serve and --connect both ends are in this process. Requests are MOSDOps with
LENGTH bytes of data, replies MOSDOpReplies without data. THINK is a
duration: 10us. With it a server takes requests from its queue, one at a time of each
connection.

Examples:
  msgrbench ceph-perf
  msgrbench ceph-perf --jobs=1 --window=1 --json
  msgrbench ceph-perf --serve 127.0.0.1:6801

SIGINT and SIGTERM are how a server of --serve ends, with exit code 0. Without it what was
done until then is printed. The exit code is 1 if a connection failed or a message was
lost, 130 or 143 if it was interrupted.`
}

// Run runs one end or both.
func (c *cephPerfCmd) Run(w io.Writer) error {
	cfg := cephperf.Config{
		Jobs: c.Jobs, Window: c.Window, Messages: c.Messages, Length: c.Length, Think: c.Think,
		Queue: c.Queue, Threads: c.Threads, Workers: c.Workers, Threadpipe: c.Threadpipe,
		Patience: c.Patience, ServerPID: c.PID,
	}
	if c.PID != 0 && c.Connect == "" {
		return command.Usage(errors.New("--pid is that of a server to --connect to"))
	}
	if c.Patience <= 0 {
		return command.Usage(errors.New("--patience is to be more than 0"))
	}
	if err := cfg.Check(); err != nil {
		return command.Usage(command.Without(err, cephperf.ErrConfig))
	}
	ctx, stop := command.Interruptible()
	defer stop()
	if c.Serve != "" {
		at, err := addrPort(c.Serve)
		if err != nil {
			return command.Usage(err)
		}
		return serveCeph(ctx, w, cfg, at)
	}
	env := report.CollectEnvironment()
	var r cephperf.Result
	var err error
	if c.Connect != "" {
		at, aerr := addrPort(c.Connect)
		if aerr != nil {
			return command.Usage(aerr)
		}
		r, err = cephperf.Run(ctx, cfg, at)
	} else {
		r, err = cephperf.Both(ctx, cfg)
	}
	if end := command.Interrupted(ctx); end != nil && errors.Is(err, context.Canceled) {
		err = end
	}
	if c.Connect != "" && errors.Is(err, syscall.ECONNREFUSED) {
		err = fmt.Errorf("%w; start msgrbench ceph-perf --serve there first", err)
	}
	if r.Transport == "" || r.Answered == 0 && err != nil {
		return err
	}
	return errors.Join(err, c.write(w, env, &r))
}

func (c *cephPerfCmd) write(w io.Writer, env report.Environment, r *cephperf.Result) error {
	if c.JSON {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(struct {
			Environment report.Environment `json:"environment"`
			*cephperf.Result
		}{env, r})
	}
	if err := env.Write(w); err != nil {
		return err
	}
	return r.Write(w)
}

// addrPort reads IP:PORT, also as the address of a messenger: v2:IP:PORT/NONCE.
func addrPort(s string) (netip.AddrPort, error) {
	hostPort, _, _ := strings.Cut(strings.TrimPrefix(s, "v2:"), "/")
	a, err := netip.ParseAddrPort(hostPort)
	if err != nil {
		return a, fmt.Errorf("%q is not IP:PORT; give it such as 127.0.0.1:6800, or [::1]:6800", s)
	}
	return a, nil
}

// serveCeph is a server until ctx ends.
func serveCeph(ctx context.Context, w io.Writer, cfg cephperf.Config, at netip.AddrPort) error {
	s, err := cephperf.Serve(cfg, at)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%w; give another port, or 0 for one that is free", err)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("%w; give an address of this machine", err)
	case err != nil:
		return err
	}
	fmt.Fprintf(w, "%s server at %s\n", cfg.Transport(), s.Addr())
	<-ctx.Done()
	err = s.Close()
	fmt.Fprintf(w, "%d requests answered\n", s.Requests())
	return err
}
