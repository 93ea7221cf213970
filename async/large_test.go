package async

import (
	"testing"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/stretchr/testify/require"
)

// TestLargestObjectsOfCeph: with Limits.Data raised to it, the largest object that Ceph has
// by default, 128 MiB, goes through; a byte more is refused by an error that names the limit.
func TestLargestObjectsOfCeph(t *testing.T) {
	if testing.Short() {
		t.Skip("needs half a GiB of memory")
	}
	const most = 128 << 20
	l := newLab(t)
	limit := func(c *Config) { c.Limits.Data = most }
	srv := l.server(entity.OSD(0), msg.StatefulServer(), limit)
	sizes := make(chan int, 1)
	srv.onMessage = func(m *msg.Message) { sizes <- len(m.Data) }
	cl := l.client(entity.Client(1), msg.LosslessClient(), limit)
	c := l.connect(cl, srv)
	err := c.Send(&msg.Message{Type: 1, Data: make([]byte, most+1)})
	require.ErrorIs(t, err, msg.ErrTooLarge)
	require.ErrorContains(t, err, "Limits.Data is 134217728")
	require.NoError(t, c.Send(&msg.Message{Type: 1, Data: make([]byte, most)}))
	require.Equal(t, most, <-sizes)
	require.NoError(t, c.Flush(timeout(t)))
}
