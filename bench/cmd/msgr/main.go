// Command msgr is asyncmsgr's command line. Each subcommand is one file: a type
// xxxCmd whose fields are its flags and whose Run does the work.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/alecthomas/kong"
)

// cli is the list of subcommands. To add one, write its file and add its line.
type cli struct {
	Demo    demoCmd    `cmd:"" help:"Run a small object store while its connections are cut, and check every promise."`
	Bench   benchCmd   `cmd:"" help:"Compare the messenger with others, in processes of their own."`
	Decode  decodeCmd  `cmd:"" help:"Print and verify recorded connections, frame by frame."`
	Sim     simCmd     `cmd:"" help:"Run many messengers in virtual time on a simulated network, and check them."`
	Ping    pingCmd    `cmd:"" help:"Ping a ceph-mon or a messenger of ours and time the answers."`
	Version versionCmd `cmd:"" help:"Print the version of msgr, of Go and of the network dependencies."`
	Help    helpCmd    `cmd:"" help:"Show this help, or that of a subcommand."`
}

// The exit codes of msgr. exitCodes says them to users.
const (
	exitOK      = 0   // the command did what was asked
	exitFault   = 1   // it ran, and did not succeed
	exitUsage   = 2   // the command line was not understood
	exitSIGINT  = 130 // SIGINT ended it early: 128 and the signal's number, as shells have it
	exitSIGTERM = 143 // SIGTERM did
)

const exitCodes = `Exit codes: 0 it did what was asked; 1 it ran and did not succeed; 2 the command line was not
understood; 130 and 143 it was interrupted by SIGINT or SIGTERM and printed what it had until
then. A second signal ends it at once.

Flags may be written with one dash or two.`

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run parses args, runs the subcommand and returns the exit code. Help goes to
// stdout; what is wrong goes to stderr, in one line, after the details of it.
func run(args []string, stdout, stderr io.Writer) (code int) {
	// kong leaves through Exit after --help; here that is a return with its code.
	type exit int
	defer func() {
		switch p := recover().(type) {
		case nil:
		case exit:
			code = int(p)
		default:
			panic(p)
		}
	}()
	var c cli
	parser := kong.Must(&c,
		kong.Name("msgr"),
		kong.Description("Ceph's AsyncMessenger as a Go library: demo, measurements and tools."),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { panic(exit(code)) }),
		kong.BindTo(stdout, (*io.Writer)(nil)),
		benchVars(),
	)
	parser.Model.Detail = exitCodes
	if len(args) == 0 {
		args = []string{"--help"}
	}
	ctx, err := parser.Parse(longFlags(args))
	if err != nil {
		return complain(stderr, pathOf(parsed(err)), usageError{plainer(err)})
	}
	return complain(stderr, pathOf(ctx), ctx.Run())
}

// complain says what is wrong with the subcommand of that path, if anything is, and
// returns the exit code.
func complain(stderr io.Writer, path string, err error) int {
	if err == nil {
		return exitOK
	}
	var more interface{ Details() string }
	if errors.As(err, &more) {
		fmt.Fprint(stderr, more.Details())
	}
	hint, code := "", exitFault
	if errors.As(err, new(usageError)) {
		hint, code = " (see "+path+" --help)", exitUsage
	}
	if end := new(interruption); errors.As(err, &end) {
		code = end.exitCode()
	}
	fmt.Fprintf(stderr, "%s: %s%s\n", strings.TrimSuffix(path, " compare"), oneLine(err), hint)
	return code
}

// oneLine is an error without line breaks, which errors that were joined have.
func oneLine(err error) string {
	lines := strings.FieldsFunc(err.Error(), func(r rune) bool { return r == '\n' || r == '\r' })
	return strings.Join(lines, "; ")
}

// without is an error whose text does not begin with that of a class of errors, which
// says nothing to who knows the subcommand.
func without(err, class error) error {
	return shortened{err, strings.TrimPrefix(err.Error(), class.Error()+": ")}
}

type shortened struct {
	error
	text string
}

func (e shortened) Error() string { return e.text }
func (e shortened) Unwrap() error { return e.error }

// plainer says in our words what kong says about arguments that are missing.
func plainer(err error) error {
	text := err.Error()
	for _, r := range []struct{ pattern, text string }{
		{`expected (.+) value but got "EOL" \(<EOL>\)$`, "the value is missing, $1"},
		{`missing value, expecting "<arg>,\.\.\."$`, "the value is missing"},
		{`^expected "(.*)"$`, "$1 is missing"},
	} {
		text = regexp.MustCompile(r.pattern).ReplaceAllString(text, r.text)
	}
	return shortened{err, text}
}

// parsed is as far as a command line was understood.
func parsed(err error) *kong.Context {
	var p *kong.ParseError
	if errors.As(err, &p) {
		return p.Context
	}
	return nil
}

// pathOf is the subcommand with all its names.
func pathOf(ctx *kong.Context) string {
	if ctx == nil || ctx.Selected() == nil {
		return "msgr"
	}
	return ctx.Selected().FullPath()
}

// longFlags lets flags be written with one dash too, as Go's own tools have them:
// -count 5 is --count 5. There are no flags of one letter but -h.
func longFlags(args []string) []string {
	out := make([]string, len(args))
	for i, a := range args {
		if a == "--" {
			copy(out[i:], args[i:])
			break
		}
		if len(a) > 2 && a[0] == '-' && a[1] >= 'a' && a[1] <= 'z' {
			a = "-" + a
		}
		out[i] = a
	}
	return out
}

// usageError is an error in the arguments that only Run could find.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

type versionCmd struct{}

// Run prints what the binary was built from.
func (versionCmd) Run(w io.Writer) error {
	version, deps := "(devel)", []*debug.Module(nil)
	if info, ok := debug.ReadBuildInfo(); ok {
		deps = info.Deps
		if v := info.Main.Version; v != "" {
			version = v
		}
	}
	if _, err := fmt.Fprintf(w, "msgr %s, %s %s/%s, msgr v2.1\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH); err != nil {
		return err
	}
	for _, d := range deps {
		switch d.Path {
		case "github.com/cloudwego/netpoll", "github.com/panjf2000/ants/v2":
			if _, err := fmt.Fprintf(w, "  %s %s\n", d.Path, d.Version); err != nil {
				return err
			}
		}
	}
	return nil
}
