package msg

import (
	"errors"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

// ending is a BroadcastNotifier that writes down what it is told.
type ending struct {
	t     *testing.T
	m     *Message
	told  []error
	whole int
	fail  func()
}

func (e *ending) MessageSent(_ Connection, m *Message, err error) {
	require.Same(e.t, e.m, m, "what the sender knows")
	require.Zero(e.t, e.whole, "before the end of all")
	e.told = append(e.told, err)
}

func (e *ending) BroadcastSent(m *Message) {
	require.Same(e.t, e.m, m)
	e.whole++
	if e.fail != nil {
		e.fail()
	}
}

func never(t *testing.T) func(any) { return func(r any) { t.Errorf("failed: %v", r) } }

// TestShared: the message is the sender's again with the end of the last copy, in whatever
// order they end and though the maker is late.
func TestShared(t *testing.T) {
	for _, maker := range []int{0, 1, 2, 3} { // how many copies have ended before it is done
		m := &Message{Type: 7, Priority: 9, TID: 3, Front: []byte("front"), Data: []byte("data")}
		e := &ending{t: t, m: m}
		m.Notify = e
		require.NoError(t, Take(m))
		Seal(m)
		s := Share(m)
		var copies []*Message
		for range 3 {
			c := s.Copy()
			require.ErrorIs(t, Take(c), ErrInUse)
			require.True(t, Intact(c))
			require.Equal(t, "front", string(c.Front))
			require.Same(t, &m.Data[0], &c.Data[0], "shared")
			copies = append(copies, c)
		}
		s.Drop(s.Copy())
		why := errors.New("why")
		for i, c := range copies {
			if i == maker {
				require.False(t, s.Made(3))
			}
			require.Zero(t, e.whole)
			require.ErrorIs(t, Take(m), ErrInUse)
			require.False(t, Cancel(m))
			NotifySent(nil, c, why, never(t))
			EndCopy(c, nil, never(t))
		}
		if maker == 3 {
			require.Zero(t, e.whole)
			require.True(t, s.Made(3))
			s.Finish(never(t))
		}
		require.Equal(t, []error{why, why, why}, e.told)
		require.Equal(t, 1, e.whole)
		require.NoError(t, Take(m), "the sender's again")
	}
}

// TestSharedByNobody: without a copy it is as it was before.
func TestSharedByNobody(t *testing.T) {
	m := New(7, 10)
	m.Notify = &ending{t: t, m: m}
	require.NoError(t, Take(m))
	s := Share(m)
	s.Drop(s.Copy())
	require.False(t, s.Made(0))
	require.Zero(t, m.Notify.(*ending).whole)
	require.Len(t, m.Front, 10)
	m.Release()
}

// TestSharedRelease: a message of New is released after the last end, once, whatever the
// notifier does.
func TestSharedRelease(t *testing.T) {
	defer func(was bool) { PoisonBuffers = was }(PoisonBuffers)
	PoisonBuffers = true
	for name, fail := range map[string]func(){"": nil, "panic": func() { panic("x") }, "goexit": runtime.Goexit} {
		m := New(7, 300)
		front := m.Front
		clear(front)
		e := &ending{t: t, m: m, fail: fail}
		m.Notify = e
		require.NoError(t, Take(m))
		s := Share(m)
		a, b := s.Copy(), s.Copy()
		var failed []any
		done := make(chan struct{})
		go func() {
			defer close(done)
			failing := func(r any) { failed = append(failed, r) }
			s.Made(2)
			GiveBack(a)
			EndCopy(a, nil, failing)
			require.Zero(t, front[0], "held by the other")
			GiveBack(b)
			EndCopy(b, nil, failing)
		}()
		<-done
		require.Equal(t, byte(0xdb), front[0], "given back")
		require.Equal(t, 1, e.whole)
		switch name {
		case "":
			require.Empty(t, failed)
		case "panic":
			require.Equal(t, []any{"x"}, failed)
		case "goexit":
			require.Equal(t, []any{ErrGoexit}, failed)
		}
	}
}

// TestSharedSums: they are computed once.
func TestSharedSums(t *testing.T) {
	m := &Message{Front: []byte("a"), Data: []byte("bcd")}
	require.NoError(t, Take(m))
	s := Share(m)
	calls := 0
	sum := func(p []byte) uint32 { calls++; return uint32(len(p)) }
	for range 3 {
		require.Equal(t, [3]uint32{1, 0, 3}, *SharedOf(s.Copy()).Sums(sum))
	}
	require.Equal(t, 3, calls)
}

// TestSharedLoopback: what the receiver gets has a payload of its own.
func TestSharedLoopback(t *testing.T) {
	m := &Message{Type: 7, Front: []byte("front"), Middle: []byte("m"), Data: make([]byte, 300)}
	require.NoError(t, Take(m))
	d := Deliverable(Share(m).Copy(), Incoming{})
	require.Nil(t, SharedOf(d))
	require.Equal(t, m.Front, d.Front)
	require.Equal(t, m.Middle, d.Middle)
	require.Equal(t, m.Data, d.Data)
	clear(m.Front)
	require.Equal(t, "front", string(d.Front))
	require.Equal(t, 5, cap(d.Front))
	d.Release()
}
