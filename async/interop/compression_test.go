//go:build linux

package interop

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/denc"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/mon/wire"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection"
	"github.com/stretchr/testify/require"
)

// TestCompressionWithOSD is osd.7 towards osd.0, which compresses for OSDs: commands and their
// answers, over a lossless session whose connections are cut. On each of them compression is agreed on
// anew; no command is lost or answered twice. With 16.2, which knows no compression, the same
// goes uncompressed.
func TestCompressionWithOSD(t *testing.T) {
	const commands, out, perCut = 200, 32, 40
	cluster := StartMon(t, MonOptions{Global: "ms_osd_compress_mode = force\n" +
		"ms_osd_compression_algorithm = zlib snappy\nms_osd_compress_min_size = 64\n"})
	daemon := StartOSD(t, cluster)
	box := newInbox()
	m := newMessenger(t, async.Config{Name: entity.OSD(7), AllowFaults: true,
		Compression: async.Compression{Algorithms: []string{"zlib"}, MinSize: 64}}, msg.LosslessPeer())
	m.AddDispatcherTail(box)
	require.NoError(t, m.Bind(netip.MustParseAddrPort("127.0.0.1:0")))
	require.NoError(t, m.Start())
	conn, err := m.ConnectTo(entity.TypeOSD, entity.AddrVec{daemon.ClusterAddr})
	require.NoError(t, err)
	fsid, err := wire.ParseUUID(FSID)
	require.NoError(t, err)
	begin := func(tid uint64) {
		front := append([]byte(nil), fsid[:]...)
		front = le.AppendUint32(front, 1)
		front = denc.AppendString(front, `{"prefix":"version","format":"json"}`)
		require.NoError(t, conn.Send(&msg.Message{Type: msg.TypeCommand, Version: 1, TID: tid, Front: front,
			Data: []byte(strings.Repeat("input that nobody reads ", 40))}))
	}
	for tid := range uint64(out) {
		begin(tid)
	}
	answered := make([]bool, commands)
	for n := range commands {
		reply := box.next(t, msg.TypeCommandReply)
		require.False(t, answered[reply.TID], "command %d is answered twice", reply.TID)
		answered[reply.TID] = true
		require.Contains(t, string(reply.Data), fmt.Sprintf(`"release":%q`, Release(t)))
		if n+out < commands {
			begin(uint64(n + out))
		}
		if n%perCut == 0 {
			m.Faults().Cut(conn)
		}
	}
	require.Empty(t, box.resets)
	require.Empty(t, box.lost)
	var s connection.ConnStats
	for c, x := range m.ConnectionStats() {
		if c == conn {
			s = x
		}
	}
	t.Logf("resumed %d times, %d messages sent again, %d bytes as %d, received %d as %d", s.Resumed, s.Replayed,
		s.CompressedFrom, s.CompressedTo, s.DecompressedTo, s.DecompressedFrom)
	require.GreaterOrEqual(t, s.Resumed, uint64(commands/perCut/2))
	if Release(t) == "pacific" {
		require.Empty(t, s.Compression)
		require.NotEmpty(t, s.Uncompressed)
		return
	}
	require.Equal(t, "zlib", s.Compression)
	require.Less(t, s.CompressedTo, s.CompressedFrom/2)
	require.NotZero(t, s.DecompressedFrom)
}
