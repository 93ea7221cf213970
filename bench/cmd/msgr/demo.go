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
	Seconds    float64 `default:"12" help:"How long traffic runs."`
	OSDs       int     `name:"osds" default:"3" help:"Number of OSDs."`
	Clients    int     `default:"8" help:"How many clients are busy all the time."`
	Conns      int     `default:"32" help:"How many clients there are in all, each with a messenger of its own and a session with every OSD."`
	ObjectSize int     `default:"16384" help:"Size of most objects in bytes."`
	Sizes      []int   `help:"Sizes of objects in bytes, instead of some around --object-size."`
	CutRate    float64 `default:"30" help:"How many connections are cut per second; 0: none."`
	Secure     bool    `help:"Encrypt everything: all messengers share a random secret, and prove by TLS that they have it."`
	Seed       uint64  `help:"Seed of traffic and cuts; 0: from the clock."`
	Admin      string  `help:"Path of an admin socket, for msgr dump and Ceph's tools, while the demo runs."`
	JSON       bool    `name:"json" help:"Print one JSON object instead of the table."`
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

Examples:
  msgr demo --seconds=5
  msgr demo --secure --seed=7
  msgr demo --seconds=60 --admin /tmp/demo.asok     and elsewhere: msgr top /tmp/demo.asok
  msgr demo --json

The exit code is 1 if a promise was broken, 130 or 143 if it was interrupted.`
}

// Run runs the demo. Interrupted, it ends early and reports what there is.
func (c *demoCmd) Run(w io.Writer) error {
	// NaN is none of this.
	good := c.Seconds > 0 && c.Seconds <= command.SecondsMax && c.OSDs > 0 && c.Clients > 0 &&
		c.ObjectSize > 0 && c.CutRate >= 0
	if !good {
		return command.Usage(fmt.Errorf("--seconds is to be more than 0 and %d at most, "+
			"--osds, --clients and --object-size more than 0, --cut-rate not less", command.SecondsMax))
	}
	cfg := demo.Config{
		Duration: time.Duration(c.Seconds * float64(time.Second)),
		OSDs:     c.OSDs, Clients: c.Clients, Conns: max(c.Conns, c.Clients),
		ObjectSize: c.ObjectSize, Sizes: c.Sizes, CutRate: c.CutRate, Seed: c.Seed, Secure: c.Secure, Admin: c.Admin,
	}
	if c.CutRate == 0 {
		cfg.CutRate = -1
	}
	terminal := !c.JSON && command.IsTerminal(w)
	if terminal {
		cfg.Progress = w
	}
	if !c.JSON {
		cfg.Began = func(r *demo.Report) {
			fmt.Fprintf(w, "%d osds, %d clients (%d busy), %d sessions, %s mode, seed %d: traffic for %v\n",
				r.OSDs, r.Clients, r.Busy, r.Sessions, r.Mode, r.Seed, cfg.Duration)
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
