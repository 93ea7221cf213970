package codecs_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/compress"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection"
	"github.com/asyncmsgr/asyncmsgr/connection/frame"
	"github.com/stretchr/testify/require"
)

// recordedPing is a ping that an OSD has sent another one over its heartbeat connection.
func recordedPing(t *testing.T) (ping *msg.Message) {
	f, err := os.Open(filepath.Join("testdata", "none-crc-osd-snappy-20.0.hex"))
	require.NoError(t, err)
	defer f.Close()
	tr, err := frame.ReadTranscript(f)
	require.NoError(t, err)
	_, err = tr.Walk(frame.WalkOptions{}, func(r *frame.Record) error {
		if r.Preamble.Tag == frame.TagMessage && ping == nil {
			ping = &msg.Message{Type: r.Header.Type, Version: r.Header.Version, Compat: r.Header.CompatVersion,
				Priority: uint8(r.Header.Priority), Front: r.Front, Middle: r.Middle, Data: r.Data}
		}
		return nil
	})
	require.NoError(t, err)
	require.NotNil(t, ping)
	return ping
}

// TestOSD is osd.7 towards a real osd.0 of Ceph 18 or 20, whose address, one for OSDs, is in
// ASYNCMSGR_COMPRESS_OSD, IP:PORT/NONCE. It is to have ms_osd_compress_mode force, the four
// algorithms and ms_osd_compress_min_size 64; auth is none. That of cluster_addrs: a lossless
// session is cut and resumed. That of heartbeat_back_addrs, with ASYNCMSGR_COMPRESS_PING: a ping
// and its answer are compressed.
func TestOSD(t *testing.T) {
	at := os.Getenv("ASYNCMSGR_COMPRESS_OSD")
	if at == "" {
		t.Skip("ASYNCMSGR_COMPRESS_OSD names no OSD")
	}
	place, nonce, ok := strings.Cut(at, "/")
	require.True(t, ok, at)
	n, err := strconv.ParseUint(nonce, 10, 32)
	require.NoError(t, err)
	addr := entity.Addr{Type: entity.AddrMsgr2, Nonce: uint32(n), AddrPort: netip.MustParseAddrPort(place)}
	ping := os.Getenv("ASYNCMSGR_COMPRESS_PING") != ""
	for _, a := range compress.Registered() {
		t.Run(a.Name(), func(t *testing.T) {
			m, err := async.New(async.Config{Name: entity.OSD(7), AllowFaults: true,
				InitialBackoff: 10 * time.Millisecond,
				Compression:    async.Compression{Algorithms: []string{a.Name()}, MinSize: 64}})
			require.NoError(t, err)
			g := &got{n: make(chan struct{}, 1000)}
			m.SetDefaultPolicy(msg.LosslessPeer())
			if ping {
				m.SetDefaultPolicy(msg.LossyClient())
			}
			m.AddDispatcherTail(g)
			require.NoError(t, m.Bind(netip.MustParseAddrPort("127.0.0.1:0")))
			require.NoError(t, m.Start())
			defer func() { require.NoError(t, m.Shutdown(t.Context())) }()
			c, err := m.ConnectTo(entity.TypeOSD, entity.AddrVec{addr})
			require.NoError(t, err)
			seen := func() (s connection.ConnStats) {
				for conn, x := range m.ConnectionStats() {
					if conn == c {
						s = x
					}
				}
				return s
			}
			require.Eventually(t, c.IsConnected, 10*time.Second, 5*time.Millisecond, "%v", c.LastError())
			require.Equal(t, a.Name(), seen().Compression, seen().Uncompressed)
			if ping {
				require.NoError(t, c.Send(recordedPing(t)))
				select {
				case <-g.n:
				case <-time.After(10 * time.Second):
					t.Fatal("no answer")
				}
				s := seen()
				require.NotZero(t, s.CompressedTo, "CLIENT_IDENT and the ping")
				require.NotZero(t, s.DecompressedFrom, "SERVER_IDENT and its answer")
				t.Logf("sent %d bytes as %d, received %d as %d", s.CompressedFrom, s.CompressedTo,
					s.DecompressedTo, s.DecompressedFrom)
				return
			}
			for range 5 { // over a new connection each time, agreed on anew
				before := seen().Resumed
				require.True(t, m.Faults().Cut(c))
				c.SendKeepalive()
				resumed := func() bool { return seen().Resumed > before }
				require.Eventually(t, resumed, 10*time.Second, 5*time.Millisecond)
			}
			require.Eventually(t, c.IsConnected, 10*time.Second, 5*time.Millisecond, "%v", c.LastError())
			require.Equal(t, a.Name(), seen().Compression)
		})
	}
}
