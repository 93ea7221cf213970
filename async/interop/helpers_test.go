//go:build linux

package interop

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/frame"
	"github.com/asyncmsgr/asyncmsgr/dispatch"
	"github.com/asyncmsgr/asyncmsgr/eventloop/netpollstack"
)

// patience is how long a test waits for something that has to happen.
const patience = 60 * time.Second

// peerOf is the address vector of a monitor at a.
func peerOf(a netip.AddrPort) entity.AddrVec {
	return entity.AddrVec{{Type: entity.AddrMsgr2, AddrPort: a}}
}

// newMessenger makes a messenger, with workers and a dispatch pool of its own,
// that is not started yet. It is shut down when the test ends, all of it.
func newMessenger(t *testing.T, cfg async.Config, policy msg.Policy) *async.Messenger {
	t.Helper()
	stack, err := netpollstack.Open(netpollstack.Config{Workers: 2})
	require.NoError(t, err)
	pool, err := dispatch.NewAntsPool(dispatch.AntsConfig{})
	require.NoError(t, err)
	cfg.Stack, cfg.Executor = stack, pool
	cfg.InitialBackoff, cfg.MaxBackoff = 20*time.Millisecond, 200*time.Millisecond
	m, err := async.New(cfg)
	require.NoError(t, err)
	m.SetDefaultPolicy(policy)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		require.NoError(t, m.Shutdown(ctx))
		require.NoError(t, stack.Close())
		require.NoError(t, pool.Release(ctx))
		if t.Failed() {
			t.Logf("%+v", m.Stats())
		}
	})
	return m
}

// inbox is a dispatcher that hands everything to the test. Its channels hold
// more than any test lets come in.
type inbox struct {
	messages chan *msg.Message
	connects chan msg.Connection
	accepts  chan msg.Connection
	resets   chan error
	lost     chan error
	failed   chan *msg.ConnectError
}

func newInbox() *inbox {
	const room = 1 << 14
	return &inbox{
		messages: make(chan *msg.Message, room),
		connects: make(chan msg.Connection, room),
		accepts:  make(chan msg.Connection, room),
		resets:   make(chan error, room),
		lost:     make(chan error, room),
		failed:   make(chan *msg.ConnectError, room),
	}
}

func (b *inbox) Dispatch(m *msg.Message) bool     { b.messages <- m; return true }
func (b *inbox) HandleConnect(c msg.Connection)   { b.connects <- c }
func (b *inbox) HandleAccept(c msg.Connection)    { b.accepts <- c }
func (b *inbox) HandleRemoteReset(msg.Connection) { b.lost <- msg.ErrRemoteReset }
func (b *inbox) HandleConnectFailed(_ msg.Connection, err *msg.ConnectError) {
	select {
	case b.failed <- err:
	default: // nobody counts them
	}
}

func (b *inbox) HandleReset(_ msg.Connection, reason error) bool {
	b.resets <- reason
	return true
}
func (b *inbox) HandleUndeliverable(_ msg.Connection, _ *msg.Message, reason error) {
	b.lost <- reason
}

// next returns the next message of a type; others that a monitor sends on its
// own are passed over.
func (b *inbox) next(t *testing.T, typ uint16) *msg.Message {
	t.Helper()
	for deadline := time.After(patience); ; {
		select {
		case m := <-b.messages:
			if m.Type == typ {
				return m
			}
		case <-deadline:
			require.FailNow(t, "nothing came", "message type %d within %v", typ, patience)
		}
	}
}

// receive returns what comes on a channel.
func receive[T any](t *testing.T, c <-chan T, what string) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(patience):
		require.FailNow(t, "nothing came", "%s within %v", what, patience)
	}
	return v
}

// wireFrame is a frame as recorded: its tag and its first segment.
type wireFrame struct {
	tag     frame.Tag
	payload []byte
}

// framesOf splits a recorded stream of rev1 crc frames (docs/PROTOCOL.md 1.3, 1.4), as
// far as it goes.
func framesOf(stream []byte) (frames []wireFrame) {
	const bannerLen, preambleLen, crcLen, epilogueLen = 26, 32, 4, 13
	if len(stream) < bannerLen {
		return nil
	}
	for b := stream[bannerLen:]; len(b) >= preambleLen; {
		size, first := preambleLen, int(le.Uint32(b[2:]))
		if first > 0 {
			size += first + crcLen
		}
		segments := int(b[1])
		for i := 1; i < segments; i++ {
			size += int(le.Uint32(b[2+6*i:]))
		}
		if segments > 1 {
			size += epilogueLen
		}
		if len(b) < size {
			break
		}
		frames = append(frames, wireFrame{frame.Tag(b[0]), b[preambleLen : preambleLen+first]})
		b = b[size:]
	}
	return frames
}

// ofTag returns the frames with that tag.
func ofTag(frames []wireFrame, tag frame.Tag) (found []wireFrame) {
	for _, f := range frames {
		if f.tag == tag {
			found = append(found, f)
		}
	}
	return found
}
