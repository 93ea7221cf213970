//go:build linux

// Command clustertest runs the store as it is meant to run: five processes, each in a network
// namespace of its own, with clients that write and read all the time. It kills, cuts off and
// stops nodes, in an order that comes from a seed, and judges what the clients saw. It needs
// Linux and root, and touches no network but the one that it makes.
//
//	make cluster
package main

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/alecthomas/kong"

	"github.com/asyncmsgr/asyncmsgr/bench/internal/command"
)

type cli struct {
	Run    runCmd       `cmd:"" default:"withargs" help:"Run it: what clustertest does by itself."`
	Inside insideCmd    `cmd:"" hidden:"" help:"The part that runs among the nodes."`
	Help   command.Help `cmd:"" help:"Show this help, or that of a subcommand."`
}

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	return command.Run(new(cli), args, stdout, stderr, kong.Name("clustertest"),
		kong.Description("The store on five machines, which are network namespaces, and what breaks them."))
}

// options are those of both commands.
type options struct {
	Seed     uint64 `help:"Seed of what is done, and to whom; 0: a random one."`
	Msgr     string `default:"bin/msgr" help:"The program that is a node."`
	Msgrnode string `default:"bin/msgrnode" help:"The same with the client of etcd."`
	Etcd     string `default:"etcd" help:"etcd's server."`
	Keep     bool   `help:"Keep the folder with the logs of all processes, also if all is well."`
}

// runCmd makes the network, has the rest run in it, and takes it down.
type runCmd struct {
	options
	Only string `enum:"all,join,etcd" default:"all" help:"Which scenario: join (nodes agree among themselves, and have data on disk), etcd (etcd decides, and data is in memory)."`
}

// Help is shown by clustertest --help.
func (runCmd) Help() string {
	return `Two scenarios, a minute each. In join the nodes have folders and agree on maps among themselves; in etcd they
have memory alone, find each other by leases of etcd's server, and it decides which map follows. Both kill nodes
with SIGKILL, cut off one, cut the network in two with the clients on either side, and have nodes leave by SIGTERM; join
kills all at once, too, and etcd kills etcd. Every step ends when all five are well again.

The clients enter all that they do in a history, which is judged: each object has to be as if one machine had it. A
read that is older than an acknowledged write, or than another read, is a breach.

The exit code is 1 if something was lost, was older than it may be, or did not get well again.`
}

// Run runs both scenarios.
func (c *runCmd) Run(w io.Writer) error {
	if err := possible(); err != nil {
		return err
	}
	if c.Seed == 0 {
		c.Seed = rand.Uint64()%1_000_000 + 1
	}
	fmt.Fprintf(w, "seed %d: make cluster ARGS=\"--seed %d\" repeats what is done, though not its times\n",
		c.Seed, c.Seed)
	ctx, stop := command.Interruptible()
	defer stop()
	var failed error
	for _, name := range []string{"join", "etcd"} {
		if c.Only != "all" && c.Only != name {
			continue
		}
		if name == "etcd" {
			if _, err := exec.LookPath(c.Etcd); err != nil {
				msg := fmt.Errorf("etcd: %s is not installed (apt-get install etcd-server)", c.Etcd)
				if c.Only == name || os.Getenv("ASYNCMSGR_ETCD") == "require" {
					failed = errors.Join(failed, msg)
				}
				fmt.Fprintf(w, "\nskipped: %v\n", msg)
				continue
			}
		}
		err := scenario(ctx, w, name, &c.options)
		if end := command.Interrupted(ctx); end != nil {
			return errors.Join(err, end)
		}
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", name, err))
		}
	}
	return failed
}

// possible says why there cannot be namespaces here.
func possible() error {
	if os.Geteuid() != 0 {
		return errors.New("network namespaces are made by root: " +
			"run it with sudo, or in a virtual machine or container with CAP_SYS_ADMIN and CAP_NET_ADMIN")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		return errors.New("ip is not installed (apt-get install iproute2)")
	}
	return nil
}

// limit is how long a scenario may take, everything included.
const limit = 100 * time.Second

func absolute(paths ...*string) error {
	for _, p := range paths {
		if _, err := os.Stat(*p); err == nil {
			a, err := filepath.Abs(*p)
			if err != nil {
				return err
			}
			*p = a
		}
	}
	return nil
}
