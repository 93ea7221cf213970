package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/asyncmsgr/asyncmsgr/bench/demo"
	"github.com/asyncmsgr/asyncmsgr/bench/internal/command"
)

type demoCmd struct {
	Seconds    *float64      `help:"How long traffic runs; 12, or with --http until it is interrupted."`
	OSDs       int           `name:"osds" default:"3" help:"Number of OSDs."`
	Clients    *int          `help:"How many clients are busy all the time; 8, or with --http none: they pause between operations."`
	Conns      int           `default:"32" help:"How many clients there are in all, each with a messenger of its own and a session with every OSD."`
	ObjectSize int           `default:"16384" help:"Size of most objects in bytes."`
	Sizes      []int         `help:"Sizes of objects in bytes, instead of some around --object-size."`
	CutRate    *float64      `help:"How many connections are cut per second; 30, or with --http 0.2; 0: none."`
	Secure     bool          `help:"Encrypt everything: all messengers share a random secret, and prove by TLS that they have it."`
	Seed       uint64        `help:"Seed of traffic and cuts; 0: from the clock."`
	HTTP       string        `name:"http" placeholder:"ADDR" help:"Serve a page that shows what happens, and breaks it, at ADDR, such as :8080 or :0; without a host for this machine alone."`
	HTTPEvery  time.Duration `name:"http-every" default:"1s" help:"How often the page of --http shows what is."`
	Admin      string        `help:"Path of an admin socket, for msgr dump and Ceph's tools, while the demo runs."`
	JSON       bool          `name:"json" help:"Print one JSON object instead of the table."`
}

// brokenError says that something was not as it was promised.
type brokenError struct {
	failures, seed uint64
}

func (e *brokenError) Error() string {
	return fmt.Sprintf("%d times a promise was broken, the report says FAILED where; "+
		"--seed %d repeats the traffic and the cuts, though not their times", e.failures, e.seed)
}

// Help is shown by msgr demo --help.
func (demoCmd) Help() string {
	return `Starts OSDs that keep objects in up to three copies, clients that write and read them, and a manager that
asks the OSDs how they are, in one process, over TCP on loopback. While they talk, their connections are
cut at random bytes. Every message is numbered and every object has a checksum: what is lost, doubled,
out of order or damaged is a broken promise, and in the end all copies are compared with what was
acknowledged. The table says for each class of traffic how much there was, how fast, and what was promised.

With --secure all messengers share a secret that is drawn for the run: each connection proves by TLS
that both ends have it and is encrypted, and each reconnection is a whole handshake. The table and the last line say
so, with the number of handshakes ("mode=secure handshakes=216"). Otherwise the mode is crc: checksums only.

The last line is "demo: ok" or "demo: FAILED" with the counts. Interrupted, the demo finishes what is under
way, checks it, drains its messengers, and says "demo: interrupted, ok so far" or "demo: interrupted, FAILED".

With --http ADDR a page shows the nodes as a ring, their sessions and queues, latency, and a timeline. There one may
cut sessions, stall an OSD (its callbacks wait) or unplug it (all its connections break, and none comes up), kill a
client and start it again, and watch it heal; the promises are checked all the same. An OSD is well again after 30 s
at the latest. Who can open the page can do that. Traffic is light, so that the page has something to show and the
machine can do other things; --clients and --cut-rate change that.

Examples:
  msgr demo --seconds=5
  msgr demo --secure --seed=7
  msgr demo --seconds=60 --admin /tmp/demo.asok     and elsewhere: msgr top /tmp/demo.asok
  msgr demo --json
  msgr demo --http :0

The exit code is 1 if a promise was broken, 130 or 143 if it was interrupted.`
}

// Run runs the demo. Interrupted, it ends early and reports what there is.
func (c *demoCmd) Run(w io.Writer) error {
	seconds, clients, cutRate := orDefault(c.Seconds, 12), orDefault(c.Clients, 8), orDefault(c.CutRate, 30)
	if c.HTTP != "" {
		seconds, cutRate = orDefault(c.Seconds, command.SecondsMax), orDefault(c.CutRate, 0.2)
	}
	// NaN is none of this.
	good := seconds > 0 && seconds <= command.SecondsMax && c.OSDs > 0 && clients > 0 &&
		c.ObjectSize > 0 && cutRate >= 0 && c.HTTPEvery > 0
	if !good {
		return command.Usage(fmt.Errorf("--seconds is to be more than 0 and %d at most, "+
			"--osds, --clients, --object-size and --http-every more than 0, --cut-rate not less", command.SecondsMax))
	}
	cfg := demo.Config{
		Duration: time.Duration(seconds * float64(time.Second)),
		OSDs:     c.OSDs, Clients: clients, Conns: max(c.Conns, clients),
		ObjectSize: c.ObjectSize, Sizes: c.Sizes, CutRate: cutRate, Seed: c.Seed, Secure: c.Secure, Admin: c.Admin,
	}
	if cutRate == 0 {
		cfg.CutRate = -1
	}
	if c.HTTP != "" {
		if c.Clients == nil {
			cfg.Clients, cfg.Conns = -1, c.Conns
		}
		cfg.PageEvery = c.HTTPEvery
		var err error
		if cfg.Page, cfg.PageHosts, err = command.ListenHTTP(c.HTTP); err != nil {
			return err
		}
	}
	terminal := !c.JSON && command.IsTerminal(w)
	if terminal {
		cfg.Progress = w
	}
	if !c.JSON {
		cfg.Began = func(r *demo.Report) {
			fmt.Fprintf(w, "%d osds, %d clients (%d busy), %d sessions, %s mode, seed %d: traffic for %v\n",
				r.OSDs, r.Clients, r.Busy, r.Sessions, r.Mode, r.Seed, cfg.Duration)
			if cfg.Page != nil {
				fmt.Fprintf(w, "the page is at http://%v/; end it with Ctrl-C\n", cfg.Page.Addr())
			}
		}
	}
	ctx, stop := command.Interruptible()
	defer stop()
	r, err := demo.Run(ctx, cfg)
	if errors.Is(err, demo.ErrConfig) {
		return command.Usage(command.Without(err, demo.ErrConfig))
	} else if err != nil {
		return err
	}
	switch {
	case c.JSON:
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		err = e.Encode(r)
	default:
		if terminal {
			fmt.Fprint(w, "\r\x1b[K")
		}
		err = r.Write(w)
	}
	if r.Interrupted {
		err = errors.Join(err, command.Interrupted(ctx))
	}
	if !r.OK {
		err = errors.Join(err, &brokenError{r.Failures, r.Seed})
	}
	return err
}

// orDefault is the value of a flag, if it was given.
func orDefault[T any](given *T, otherwise T) T {
	if given != nil {
		return *given
	}
	return otherwise
}
