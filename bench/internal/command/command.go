// Package command is what the command lines of this repository have in common: how
// arguments are read, how errors, help and exit codes look, and what a signal does. A
// command is a struct whose fields are its subcommands, one file each.
package command

import (
	"errors"
	"io"

	"github.com/alecthomas/kong"
)

// Run parses args, runs the subcommand of cli and returns the exit code. Help goes to
// stdout; what is wrong goes to stderr, in one line, after the details of it. The options
// have the name of the command and its description.
func Run(cli any, args []string, stdout, stderr io.Writer, options ...kong.Option) (code int) {
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
	parser := kong.Must(cli, append([]kong.Option{
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { panic(exit(code)) }),
		kong.BindTo(stdout, (*io.Writer)(nil)),
	}, options...)...)
	parser.Model.Detail = ExitCodes
	ctx, err := parser.Parse(LongFlags(args))
	if err != nil {
		ctx, err = parsed(err), Usage(plainer(err))
	} else {
		err = ctx.Run()
	}
	who, path := names(parser, ctx)
	return complain(stderr, who, path, err)
}

// parsed is as far as a command line was understood.
func parsed(err error) *kong.Context {
	var p *kong.ParseError
	if errors.As(err, &p) {
		return p.Context
	}
	return nil
}

// names are the subcommand as users call it, and with all its names: one that runs by
// default is not mentioned.
func names(parser *kong.Kong, ctx *kong.Context) (who, path string) {
	if ctx == nil || ctx.Selected() == nil {
		return parser.Model.Name, parser.Model.Name
	}
	n := ctx.Selected()
	who, path = n.FullPath(), n.FullPath()
	if n.Parent != nil && n.Parent.DefaultCmd == n {
		who = n.Parent.FullPath()
	}
	return who, path
}

// LongFlags lets flags be written with one dash too, as Go's own tools have them:
// -count 5 is --count 5. Flags of one letter, -h and -n, stay.
func LongFlags(args []string) []string {
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
