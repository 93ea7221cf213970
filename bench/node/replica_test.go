package node

import (
	"log/slog"
	"testing"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/stretchr/testify/require"
)

// TestFence: a copy does nothing by another map than its own, nor in the place of another
// life; what the simulation meets seldom.
func TestFence(t *testing.T) {
	s := openTest(t, "", 0) // of life 7
	n := New(Config{Name: entity.OSD(1), Addr: "v2:10.0.0.1:7000", Store: s, Logger: slog.New(slog.DiscardHandler)})
	defer n.Close()
	self := n.self()
	require.NoError(t, n.adopt(&Map{Cluster: 1, Epoch: 5, Members: []Member{self}}))
	store := func(epoch, inc uint64) []byte {
		o := Object{Key: "a", Version: Version{1, 1}, Value: []byte("x")}
		b, err := n.handleMember(typeStore, appendObject(appendU64(appendU64(nil, epoch), inc), o))
		require.NoError(t, err)
		return b
	}
	for _, c := range []struct {
		epoch, inc uint64
		answer     byte
	}{{4, 7, answerNewer}, {6, 7, answerBehind}, {5, 8, answerOther}, {0, 7, answerNewer}} {
		require.Equal(t, c.answer, store(c.epoch, c.inc)[0], "%+v", c)
		require.Empty(t, valueOf(s, "a"))
	}
	m, err := decodeMap(store(4, 7)[1:])
	require.NoError(t, err)
	require.Equal(t, n.Map(), m, "who is behind is told")
	require.Equal(t, []byte{answerOK}, store(5, 7))
	require.Equal(t, "x", valueOf(s, "a"))
	// The acceptor, too, decides what follows its own map alone.
	for _, epoch := range []uint64{4, 6} {
		for _, typ := range []uint16{typePrepare, typeAccept, typeRead, typeScan, typeFetch} {
			b, err := n.handleMember(typ, appendU64(appendU64(nil, epoch), 7))
			require.NoError(t, err)
			require.NotEqual(t, byte(answerOK), b[0])
		}
	}
}
