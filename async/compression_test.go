package async

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection"
	"github.com/stretchr/testify/require"
)

// statsOf is what n's connection with the peer of that name says.
func statsOf(t *testing.T, n *node, name entity.Name) connection.ConnStats {
	for _, s := range n.ConnectionStats() {
		if s.Peer == name {
			return s
		}
	}
	t.Fatalf("%s has no connection with %s", n.Name(), name)
	return connection.ConnStats{}
}

func zlib(c *Config) {
	c.Compression = Compression{Algorithms: []string{"zlib"}, MinSize: 100}
	c.AllowFaults = true
}

// TestCompression: two messengers compress what they send each other, over real sockets that are
// cut, and lose nothing; what it was and became is counted on both sides.
func TestCompression(t *testing.T) {
	l := newLab(t)
	srv := l.server(entity.OSD(0), msg.LosslessPeer(), zlib)
	cl := l.server(entity.OSD(1), msg.LosslessPeer(), zlib)
	c := l.connect(cl, srv)
	var want []string
	for i := range 60 {
		text := fmt.Sprintf("%d %s", i, strings.Repeat("the same again, ", i*i*10))
		want = append(want, text)
		m := &msg.Message{Type: 1000, Front: []byte(text), Data: []byte(text)}
		require.NoError(t, c.Send(m))
		if i%20 == 10 {
			cl.Faults().Cut(c)
		}
	}
	require.Equal(t, want, srv.wantMessages(60))
	for _, h := range srv.events("message") {
		require.Equal(t, string(h.m.Data), h.text)
	}
	require.NoError(t, cl.Flush(timeout(t)))

	a, b := statsOf(t, cl, srv.Name()), statsOf(t, srv, cl.Name())
	require.Equal(t, "zlib", a.Compression)
	require.Equal(t, "zlib", b.Compression)
	require.NotZero(t, a.CompressedTo)
	require.Less(t, a.CompressedTo, a.CompressedFrom/10)
	require.NotZero(t, b.DecompressedTo)
	require.Less(t, b.DecompressedFrom, b.DecompressedTo/10)
	sent, received := cl.Stats(), srv.Stats()
	require.GreaterOrEqual(t, sent.Compressed, uint64(58))
	require.Equal(t, sent.CompressedFrom, a.CompressedFrom)
	require.GreaterOrEqual(t, received.Decompressed, uint64(58))
	require.LessOrEqual(t, received.DecompressedTo, sent.CompressedFrom)
	require.NotZero(t, sent.Faults)
}

// TestWithoutCompression: where the peer does not compress, or this side is not to compress for
// peers of its type, the session is as it is without, and says why, once.
func TestWithoutCompression(t *testing.T) {
	l := newLab(t)
	book := &logbook{on: l.notify}
	logged := func(c *Config) {
		zlib(c)
		c.Logger = slog.New(slog.NewTextHandler(book, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	plain := l.server(entity.OSD(0), msg.LosslessPeer())
	other := l.server(entity.OSD(1), msg.LosslessPeer(), func(c *Config) {
		zlib(c)
		c.Compression.PeerTypes = []entity.Type{entity.TypeMDS}
	})
	n := l.server(entity.OSD(2), msg.LosslessPeer(), logged)
	for _, srv := range []*node{plain, other} {
		c := l.connect(n, srv)
		require.NoError(t, c.Send(text("%s", strings.Repeat("x", 5000))))
		srv.wantMessages(1)
		n.Faults().Cut(c)
		require.NoError(t, c.Send(text("again")))
		srv.wantMessages(2)
		s := statsOf(t, n, srv.Name())
		require.Empty(t, s.Compression)
		require.NotEmpty(t, s.Uncompressed)
		require.Len(t, book.lines("level=DEBUG", "without compression", s.Uncompressed), 1, "once")
	}
	require.Contains(t, statsOf(t, other, n.Name()).Uncompressed, "not configured for peers of type osd")
	require.Empty(t, statsOf(t, plain, n.Name()).Uncompressed)
	require.Zero(t, n.Stats().Compressed)
}

func TestCompressionRefused(t *testing.T) {
	twice := []string{"zlib", "zlib"}
	for says, c := range map[string]Compression{
		`Compression.Algorithms: compress: "brotli" is not registered, there is zlib`: {Algorithms: []string{"brotli"}},
		`Compression.Algorithms has "zlib" twice`:                                     {Algorithms: twice},
		"Compression.MinSize is -1, and must not be negative":                         {MinSize: -1},
	} {
		_, err := New(Config{Compression: c})
		require.ErrorContains(t, err, says)
	}
}
