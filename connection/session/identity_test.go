package session

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

func (i *identity) invariants() error {
	if i.serverCookie == 0 && i.connectSeq != 0 {
		return fmt.Errorf("connect_seq of no session: %+v", *i)
	}
	return nil
}

func TestIdentity(t *testing.T) {
	full := identity{globalSeq: 1, peerGlobalSeq: 2, connectSeq: 3, clientCookie: 4, serverCookie: 5, crossed: 6}
	require.True(t, full.established())
	require.NoError(t, full.invariants())

	i := full
	i.reset()
	require.Equal(t, identity{globalSeq: 1}, i)
	i = full
	i.unknown()
	require.Equal(t, identity{globalSeq: 1, clientCookie: 4, crossed: 6}, i)
	i = full
	i.none()
	require.Equal(t, identity{globalSeq: 1, peerGlobalSeq: 2, connectSeq: 3, crossed: 6}, i)

	// A session that stands has crossed with nothing: the peer has lost it.
	i = full
	i.crossed = 0
	i.replacedBy(7)
	require.Zero(t, i.crossed)
	// An attempt that was not answered yet may have.
	i = identity{clientCookie: 4}
	i.replacedBy(7)
	require.Equal(t, identity{clientCookie: 7, crossed: 4}, i)
	i.replacedBy(7)
	require.NoError(t, i.invariants(), "the same attempt once more")
}
