package threadpipe

import (
	"testing"

	"github.com/asyncmsgr/asyncmsgr/async/asynctest/sessiontest"
	"github.com/stretchr/testify/require"
)

type suiteMessenger struct{ *Messenger }

// Count implements sessiontest.Messenger.
func (m suiteMessenger) Count() sessiontest.Counts {
	s := m.Stats()
	return sessiontest.Counts{
		Received: s.Received, Delivered: s.Delivered, Undeliverable: s.Undeliverable, Discarded: s.Discarded,
		Connected: s.Connected, Accepted: s.Accepted, Faults: s.Faults,
		Resets: s.Resets, RemoteResets: s.RemoteResets, Refused: s.Refused,
		ThrottleWaits: s.ThrottleWaits, ConnThrottleWaits: s.ConnThrottleWaits,
		Replayed: s.Replayed, Lent: s.Lent, FastDispatched: s.FastDispatched,
		Panics: s.Panics, TurnedAway: s.TurnedAway, HighWaters: s.HighWaters, SendBytes: s.SendBytes,
		Connections: s.Connections, Handshakes: s.Handshakes, Queued: s.Queue.Len, DispatchBytes: s.DispatchBytes,
	}
}

// kind is a flavour for the suite that all messengers pass.
func kind(name string, flavour Config) sessiontest.Kind {
	k := sessiontest.Kind{Name: name, LateFaults: true}
	k.New = func(t testing.TB, o sessiontest.Options) sessiontest.Messenger {
		t.Helper()
		cfg := flavour
		cfg.Name, cfg.Nonce = o.Name, o.Nonce
		cfg.DispatchThrottleBytes, cfg.SendQueueMessages = o.DispatchThrottleBytes, o.SendQueueMessages
		cfg.HandshakesMax = o.HandshakesMax
		cfg.SendTotalBytes, cfg.SendHighWater, cfg.StandbyMax = o.SendTotalBytes, o.SendHighWater, o.StandbyMax
		cfg.ReadyTimeout, cfg.IdleTimeout = o.ReadyTimeout, o.IdleTimeout
		cfg.KeepaliveInterval, cfg.KeepaliveTimeout = o.KeepaliveInterval, o.KeepaliveTimeout
		cfg.InitialBackoff, cfg.MaxBackoff = o.InitialBackoff, o.MaxBackoff
		cfg.Limits, cfg.SendQueueBytes = o.Limits, o.SendQueueBytes
		cfg.AuthClient, cfg.AuthServer, cfg.Authorize = o.AuthClient, o.AuthServer, o.Authorize
		cfg.Via = o.Via
		m, err := New(cfg)
		require.NoError(t, err)
		t.Cleanup(func() { require.Zero(t, m.Stats().Threads, "threads left") })
		return suiteMessenger{m}
	}
	return k
}

// TestSessions: the same suite as package async passes, for both flavours among
// themselves, and with async on either side.
func TestSessions(t *testing.T) {
	kinds := []sessiontest.Kind{sessiontest.Async(), kind("goroutines", Config{})}
	if _, err := newThreadNetwork(); err == nil {
		kinds = append(kinds, kind("threads", Config{Threads: true}),
			kind("threads in batches", Config{Threads: true, Batch: true}))
	}
	for i, server := range kinds {
		for j, client := range kinds {
			if i == 0 && j == 0 || i == 3 && j < 3 || j == 3 && i < 3 || testing.Short() && i > 0 && j > 0 && i != j {
				continue // async's own, and what adds little
			}
			t.Run(client.Name+" to "+server.Name, func(t *testing.T) {
				t.Parallel()
				sessiontest.Run(t, server, client)
			})
		}
	}
}
