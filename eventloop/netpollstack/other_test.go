//go:build !(linux && (amd64 || arm64 || loong64))

package netpollstack

import (
	"runtime"
	"testing"

	"github.com/asyncmsgr/asyncmsgr/eventloop"
	"github.com/stretchr/testify/require"
)

// Where the stack does not exist, the error says so, for which system, and what to do.
func TestNotSupported(t *testing.T) {
	s, err := Open(Config{})
	require.Nil(t, s)
	require.ErrorIs(t, err, eventloop.ErrNotSupported)
	for _, part := range []string{runtime.GOOS + "/" + runtime.GOARCH, "Config.Stack", "simnet"} {
		require.ErrorContains(t, err, part)
	}
}
