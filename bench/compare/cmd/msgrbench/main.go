// Command msgrbench compares the messenger with others. It is no part of msgr, which needs
// none of the libraries that are compared and of those that draw the report.
package main

import (
	"io"
	"os"

	"github.com/alecthomas/kong"

	"github.com/asyncmsgr/asyncmsgr/bench/compare/rivals"
	"github.com/asyncmsgr/asyncmsgr/bench/compare/workload"
	"github.com/asyncmsgr/asyncmsgr/bench/internal/command"
)

// cli is the list of subcommands. To add one, write its file and add its line.
type cli struct {
	Compare    compareCmd    `cmd:"" default:"withargs" help:"Compare the messenger with others: what msgrbench does by itself."`
	CephPerf   cephPerfCmd   `cmd:"" name:"ceph-perf" help:"Exchange what Ceph's own messenger test exchanges."`
	RPC        rpcCmd        `cmd:"" name:"rpc" help:"Compare async/rpc with unary calls of others."`
	Workers    workersCmd    `cmd:"" help:"Predict what 1 to 32 workers carry, beside what is measured."`
	Completion completionCmd `cmd:"" help:"Print a script that has a shell complete msgrbench: bash, zsh, fish."`
	Help       command.Help  `cmd:"" help:"Show this help, or that of a subcommand."`
}

// completionCmd is command.Completion, with its own examples.
type completionCmd struct{ command.Completion }

// Help is shown by msgrbench completion --help.
func (completionCmd) Help() string {
	return `Prints a script that has the shell complete subcommands, flags and the values of flags that have a choice.

Examples:
  msgrbench completion bash > /etc/bash_completion.d/msgrbench
  msgrbench completion zsh > "${fpath[1]}/_msgrbench"
  msgrbench completion fish > ~/.config/fish/completions/msgrbench.fish`
}

const description = `The messenger and others, measured in processes of their own.

msgrbench [<scenario> ...] [flags] is msgrbench compare: see msgrbench compare --help for its flags and scenarios.`

// The contestants run in processes of their own, which are this binary again.
func init() { workload.RunChild(append(rivals.All(), rivals.Calls()...)) }

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run runs msgrbench and returns its exit code.
func run(args []string, stdout, stderr io.Writer) int {
	return command.Run(new(cli), args, stdout, stderr, kong.Name("msgrbench"), kong.Description(description), vars())
}
