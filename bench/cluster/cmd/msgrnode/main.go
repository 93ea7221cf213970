// Command msgrnode is the subcommands of msgr that are the object store, with the resolvers
// whose libraries msgr does without: etcd.
package main

import (
	"io"
	"os"

	"github.com/alecthomas/kong"

	"github.com/asyncmsgr/asyncmsgr/bench/internal/command"
	"github.com/asyncmsgr/asyncmsgr/bench/node/nodecmd"
)

type cli struct {
	Node   nodecmd.Node   `cmd:"" help:"Be a node of an object store, with others on other machines."`
	Put    nodecmd.Put    `cmd:"" help:"Write an object to the store."`
	Get    nodecmd.Get    `cmd:"" help:"Read an object of the store."`
	Del    nodecmd.Del    `cmd:"" help:"Delete an object of the store."`
	Ls     nodecmd.Ls     `cmd:"" help:"List the objects of the store."`
	Status nodecmd.Status `cmd:"" help:"Say how a node of the store is, and how it sees the others."`
	Help   command.Help   `cmd:"" help:"Show this help, or that of a subcommand."`
}

func init() { nodecmd.Openers["etcd"] = openEtcd }

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run runs msgrnode and returns its exit code.
func run(args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		args = []string{"--help"}
	}
	return command.Run(new(cli), args, stdout, stderr, kong.Name("msgrnode"), kong.Description(
		"The object store of msgr, with etcd: --resolver etcd://HOST:PORT[,HOST:PORT...]/PREFIX."))
}
