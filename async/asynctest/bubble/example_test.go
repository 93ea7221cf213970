package bubble_test

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/asynctest/bubble"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/eventloop/simnet"
)

// slow is a dispatcher that waits for a disk.
type slow struct{ stored chan string }

func (s *slow) Dispatch(m *msg.Message) bool {
	time.Sleep(20 * time.Millisecond)
	s.stored <- string(m.Front)
	m.Release()
	return true
}

func messenger(t *testing.T, h *bubble.Host, name entity.Name) *async.Messenger {
	m, err := async.New(async.Config{Name: name, Stack: h, Executor: h, Rand: h.Rand, Logger: h.Logger()})
	if err != nil {
		t.Fatal(err)
	}
	m.SetDefaultPolicy(msg.LosslessPeer())
	t.Cleanup(func() { _ = m.Shutdown(context.Background()) })
	return m
}

// storing is a test function: a message waits out two minutes without a network, and a slow
// disk, in no time.
func storing(t *testing.T) {
	bubble.Test(t, 1, simnet.Config{}, func(t *testing.T, w *bubble.World) {
		client, store := w.Host("client", simnet.HostConfig{}), w.Host("store", simnet.HostConfig{})
		at := netip.AddrPortFrom(store.Addr(), 6800)
		d := &slow{stored: make(chan string, 1)}
		s := messenger(t, store, entity.OSD(0))
		s.AddDispatcherTail(d)
		if err := s.Bind(at); err != nil {
			t.Fatal(err)
		}
		c := messenger(t, client, entity.Client(1))
		for _, m := range []*async.Messenger{s, c} {
			if err := m.Start(); err != nil {
				t.Fatal(err)
			}
		}

		heal := w.Add("cut", simnet.Isolate("store"))
		time.AfterFunc(2*time.Minute, heal)
		conn, err := c.ConnectTo(entity.TypeOSD, s.Addrs())
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.SendContext(t.Context(), &msg.Message{Type: 0xf000, Front: []byte("book")}); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		if what := <-d.stored; what != "book" {
			t.Fatalf("stored %q", what)
		}
		if waited := time.Since(begin); waited < 2*time.Minute {
			t.Fatalf("waited for %v", waited)
		}
	})
}

// storing is what go test would be given as func TestStoring(t *testing.T).
func Example() {
	var t *testing.T // that of a test
	storing(t)
}
