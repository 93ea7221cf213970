package main

import "errors"

// benchCmd says where the comparison went: it links what it compares with, which who
// wants a demo or a ping should not have to build.
type benchCmd struct {
	Args []string `arg:"" optional:"" passthrough:"" name:"args" help:"What msgrbench is to be given."`
}

// Help is shown by msgr bench --help.
func (benchCmd) Help() string {
	return `Comparing the messenger with others is a command of its own, msgrbench, which links grpc, drpc, NATS and
what draws the report. It takes the arguments that msgr bench took. In a checkout of the repository:

  make bench                                          a selection, in four minutes, as bench/results/latest/report.html
  go run ./bench/compare/cmd/msgrbench --help         the rest: scenarios, contestants, flags
  go run ./bench/compare/cmd/msgrbench ceph-perf      the exchange of Ceph's own messenger test
  go run ./bench/compare/cmd/msgrbench workers        what 1 to 32 workers would carry, beside what is measured

Examples:
  msgr bench                 says this

The exit code of msgr bench is 1.`
}

var errBench = errors.New("comparing is a command of its own, with the same arguments: " +
	"in a checkout of the repository, make bench, or go run ./bench/compare/cmd/msgrbench")

// Run runs nothing.
func (benchCmd) Run() error { return errBench }
