// Command msgr is asyncmsgr's command line. Each subcommand is one file: a type
// xxxCmd whose fields are its flags and whose Run does the work.
package main

import (
	"io"
	"os"

	"github.com/alecthomas/kong"

	"github.com/asyncmsgr/asyncmsgr/bench/hostile"
	"github.com/asyncmsgr/asyncmsgr/bench/internal/command"
	"github.com/asyncmsgr/asyncmsgr/bench/node/nodecmd"
)

// cli is the list of subcommands. To add one, write its file and add its line.
type cli struct {
	Demo       demoCmd            `cmd:"" help:"Run a small object store while its connections are cut, and check every promise."`
	Bench      benchCmd           `cmd:"" help:"Say how to compare the messenger with others: that is msgrbench."`
	Decode     decodeCmd          `cmd:"" help:"Print and verify recorded connections, frame by frame."`
	Hostile    hostileCmd         `cmd:"" help:"Attack a messenger in many ways at once, and say what that costs it."`
	Sim        simCmd             `cmd:"" help:"Run many messengers in virtual time on a simulated network, and check them."`
	Merge      mergeCmd           `cmd:"" name:"sim-merge" help:"Put together what the shards of a campaign of msgr sim have found."`
	Ping       pingCmd            `cmd:"" help:"Ping a ceph-mon or a messenger of ours and time the answers."`
	Dump       dumpCmd            `cmd:"" help:"Ask a running process what its messengers do, over its admin socket."`
	Top        topCmd             `cmd:"" help:"Watch the connections of a running process, over its admin socket."`
	Cert       certCmd            `cmd:"" help:"Make, issue, show and renew certificates, which messengers prove their names with."`
	Ceph       cephCmd            `cmd:"" help:"Ask a Ceph cluster for its state, and write and read objects in it."`
	Node       nodecmd.Node       `cmd:"" help:"Be a node of an object store, with others on other machines."`
	Put        nodecmd.Put        `cmd:"" help:"Write an object to the store."`
	Get        nodecmd.Get        `cmd:"" help:"Read an object of the store."`
	Del        nodecmd.Del        `cmd:"" help:"Delete an object of the store."`
	Ls         nodecmd.Ls         `cmd:"" help:"List the objects of the store."`
	Status     nodecmd.Status     `cmd:"" help:"Say how a node of the store is, and how it sees the others."`
	Completion command.Completion `cmd:"" help:"Print a script that has a shell complete msgr: bash, zsh, fish."`
	Version    versionCmd         `cmd:"" help:"Print the version of msgr, of Go and of the network dependencies."`
	Help       command.Help       `cmd:"" help:"Show this help, or that of a subcommand."`
}

func main() {
	hostile.RunChild()
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run runs msgr and returns its exit code.
func run(args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		args = []string{"--help"}
	}
	return command.Run(new(cli), args, stdout, stderr, kong.Name("msgr"),
		kong.Description("Ceph's AsyncMessenger as a Go library: demo, simulation and tools."))
}
