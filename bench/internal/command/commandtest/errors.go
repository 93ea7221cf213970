package commandtest

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/asyncmsgr/asyncmsgr/bench/internal/command"
	"github.com/stretchr/testify/require"
)

// WantComplaint runs the command, whose name is given, with bad input, args separated by
// spaces. What is wrong comes in one line on stderr, which says who complains, what is
// wrong and what to do; nothing comes on stdout.
func WantComplaint(t *testing.T, run Run, name, args string, code int, says string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	require.Equal(t, code, run(strings.Fields(args), &stdout, &stderr), "%s %s: %s%s", name, args, &stdout, &stderr)
	text := stderr.String()
	require.Equal(t, 1, strings.Count(text, "\n"), "%s %s: %s", name, args, text)
	require.True(t, strings.HasPrefix(text, name+": ") || strings.HasPrefix(text, name+" "), text)
	require.Contains(t, text, says, "%s %s", name, args)
	require.Equal(t, code == command.ExitUsage, strings.HasSuffix(text, " --help)\n"), text)
	require.Empty(t, stdout.String(), "%s %s", name, args)
}

// WantNoSuccess runs the command with a stdout that takes nothing: a result that could not
// be printed is no success.
func WantNoSuccess(t *testing.T, run Run, name, args string) {
	t.Helper()
	var stderr bytes.Buffer
	code := run(strings.Fields(args), full{}, &stderr)
	require.NotEqual(t, command.ExitOK, code, "%s %s", name, args)
	require.Equal(t, 1, strings.Count(stderr.String(), "\n"), "%s %s: %s", name, args, &stderr)
	require.Contains(t, stderr.String(), errFull.Error(), "%s %s", name, args)
}

// full is a stdout that takes nothing.
type full struct{}

var errFull = errors.New("no space left on device")

func (full) Write([]byte) (int, error) { return 0, errFull }
