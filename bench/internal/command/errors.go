package command

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
)

// Usage is an error in the arguments that only the subcommand could find.
func Usage(err error) error { return usageError{err} }

type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// Without is an error whose text does not begin with that of a class of errors, which
// says nothing to who knows the subcommand.
func Without(err, class error) error {
	return shortened{err, strings.TrimPrefix(err.Error(), class.Error()+": ")}
}

type shortened struct {
	error
	text string
}

func (e shortened) Error() string { return e.text }
func (e shortened) Unwrap() error { return e.error }

// complain says what is wrong, if anything is, and returns the exit code. who is the
// command that complains, with its subcommand; path is what --help is to be added to.
func complain(stderr io.Writer, who, path string, err error) int {
	if err == nil {
		return ExitOK
	}
	var more interface{ Details() string }
	if errors.As(err, &more) {
		fmt.Fprint(stderr, more.Details())
	}
	hint, code := "", ExitFault
	if errors.As(err, new(usageError)) {
		hint, code = " (see "+path+" --help)", ExitUsage
	}
	if end := new(Interruption); errors.As(err, &end) {
		code = end.exitCode()
	}
	fmt.Fprintf(stderr, "%s: %s%s\n", who, OneLine(err), hint)
	return code
}

// OneLine is an error without line breaks, which errors that were joined have.
func OneLine(err error) string {
	lines := strings.FieldsFunc(err.Error(), func(r rune) bool { return r == '\n' || r == '\r' })
	return strings.Join(lines, "; ")
}

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
