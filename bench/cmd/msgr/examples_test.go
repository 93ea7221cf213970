package main

import (
	"io"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/stretchr/testify/require"
)

// parser is that of msgr, which runs nothing.
func parser(t *testing.T) *kong.Kong {
	t.Helper()
	p, err := kong.New(new(cli), kong.Name("msgr"), kong.Writers(io.Discard, io.Discard), kong.Exit(func(int) {}))
	require.NoError(t, err)
	return p
}

// leaves are the subcommands that have none below them.
func leaves(t *testing.T) []*kong.Node { return parser(t).Model.Leaves(false) }
