//go:build linux

package admin_test

import (
	"context"
	"log/slog"
	"net/netip"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/admin"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/stretchr/testify/require"
)

// returns sends each message back.
type returns struct{}

func (returns) Dispatch(m *msg.Message) bool {
	back := msg.New(m.Type, len(m.Front))
	copy(back.Front, m.Front)
	_ = m.Connection().Send(back) // at Shutdown it is closed
	m.Release()
	return true
}

// BenchmarkAsk: how long a command takes while the processors are busy with messages: 16 connections
// in this process with 64 messages of 64 bytes each on their way. Of each command it reports the
// median and the 99th percentile; -benchtime 500x and more.
func BenchmarkAsk(b *testing.B) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	start := func(name entity.Name, p msg.Policy) *async.Messenger {
		m, err := async.New(async.Config{Name: name, Logger: slog.New(slog.DiscardHandler)})
		require.NoError(b, err)
		m.SetDefaultPolicy(p)
		m.AddDispatcherTail(returns{})
		b.Cleanup(func() { require.NoError(b, m.Shutdown(context.Background())) })
		return m
	}
	srv := start(entity.OSD(0), msg.StatefulServer())
	require.NoError(b, srv.Bind(netip.MustParseAddrPort("127.0.0.1:0")))
	require.NoError(b, srv.Start())
	for i := range int64(16) {
		m := start(entity.Client(i), msg.LosslessClient())
		require.NoError(b, m.Start())
		c, err := m.ConnectTo(entity.TypeOSD, srv.Addrs())
		require.NoError(b, err)
		for range 64 {
			require.NoError(b, c.SendContext(ctx, &msg.Message{Type: 1000, Front: make([]byte, 64)}))
		}
	}
	path := filepath.Join(b.TempDir(), "a.asok")
	s, err := admin.Listen(admin.Config{Path: path, Messengers: []*async.Messenger{srv}})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, s.Close()) })
	for _, command := range []string{"perf dump", "messenger dump", "dispatch dump"} {
		b.Run(command, func(b *testing.B) {
			before, began := srv.Stats().Delivered, time.Now()
			var took []time.Duration
			for b.Loop() {
				asked := time.Now()
				_, err := admin.Ask(path, []byte(command), time.Minute)
				require.NoError(b, err)
				took = append(took, time.Since(asked))
			}
			slices.Sort(took)
			ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
			b.ReportMetric(ms(took[len(took)/2]), "p50-ms")
			b.ReportMetric(ms(took[len(took)*99/100]), "p99-ms")
			b.ReportMetric(float64(srv.Stats().Delivered-before)/time.Since(began).Seconds(), "messages/s")
			b.ReportMetric(0, "ns/op")
		})
	}
}
