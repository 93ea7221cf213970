package resolve

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/stretchr/testify/require"
)

func entry(t testing.TB, name, addrs string) Entry {
	t.Helper()
	e, err := parseEntry(name, addrs)
	require.NoError(t, err)
	return e
}

func makeMap(t testing.TB, epoch uint64, nameAddrs ...string) *Map {
	t.Helper()
	var entries []Entry
	for i := 0; i < len(nameAddrs); i += 2 {
		entries = append(entries, entry(t, nameAddrs[i], nameAddrs[i+1]))
	}
	m, err := NewMap(epoch, entries...)
	require.NoError(t, err)
	return m
}

func TestMapRefuses(t *testing.T) {
	one, two := entry(t, "osd.1", "10.0.0.1:7001/5"), entry(t, "osd.2", "10.0.0.2:7001/6")
	alike := func(addrs string) Entry { return entry(t, "osd.3", addrs) }
	var same *SameAddressError
	for _, addrs := range []string{"10.0.0.1:7001/5", "10.0.0.1:7001", "[10.0.0.3:1/1,10.0.0.1:7001/5]",
		"[::ffff:10.0.0.1]:7001/5"} {
		_, err := NewMap(1, one, two, alike(addrs))
		require.ErrorAs(t, err, &same, addrs)
		require.Equal(t, [2]entity.Name{entity.OSD(1), entity.OSD(3)}, [2]entity.Name{same.A, same.B})
		require.Contains(t, err.Error(), "osd.1 and osd.3 are both at ")
	}
	for _, addrs := range []string{"10.0.0.1:7001/6", "10.0.0.1:7002", "v1:10.0.0.1:7001/5"} {
		_, err := NewMap(1, one, two, alike(addrs))
		require.NoError(t, err, addrs)
	}
	var twice *SameNameError
	_, err := NewMap(1, one, two, entry(t, "osd.1", "10.0.0.9:1"))
	require.ErrorAs(t, err, &twice)
	require.Equal(t, entity.OSD(1), twice.Name)
	for _, e := range []Entry{{Name: entity.OSD(4)}, alike("10.0.0.1:0"), alike("any:-/7")} {
		_, err := NewMap(1, e)
		require.Error(t, err, "%v", e)
	}
	_, err = NewMap(0, one)
	require.Error(t, err)
	_, err = NewMap(1, make([]Entry, EntriesMax+1)...)
	require.ErrorIs(t, err, ErrTooMany)
}

func TestMapLooksUp(t *testing.T) {
	m := makeMap(t, 1, "osd.10", "10.0.0.10:1", "client.3", "10.0.0.3:1", "osd.2", "10.0.0.2:1")
	require.Equal(t, "10.0.0.2:1", m.Lookup(entity.OSD(2))[0].AddrPort.String())
	require.Equal(t, "10.0.0.10:1", m.Lookup(entity.OSD(10))[0].AddrPort.String())
	require.Equal(t, "10.0.0.3:1", m.Lookup(entity.Client(3))[0].AddrPort.String())
	require.Nil(t, m.Lookup(entity.OSD(3)))
	require.Nil(t, (*Map)(nil).Lookup(entity.OSD(3)))
}

func TestParse(t *testing.T) {
	const text = "# where they are\nepoch 7\n\n" +
		"osd.2 [v2:10.0.0.2:7001/5,v2:[fd00::2]:7001/5]  # two\nosd.1 10.0.0.1:7001\nend\n"
	epoch, entries, err := ParseMap([]byte(text))
	require.NoError(t, err)
	m, err := NewMap(epoch, entries...)
	require.NoError(t, err)
	require.EqualValues(t, 7, m.Epoch)
	require.Len(t, m.Entries, 2)
	again, err := m.AppendText(nil)
	require.NoError(t, err)
	epoch, entries, err = ParseMap(again)
	require.NoError(t, err)
	m2, err := NewMap(epoch, entries...)
	require.NoError(t, err)
	require.Equal(t, m, m2)

	epoch, entries, err = ParseMap([]byte(
		` {"epoch": 7, "entries": [{"name": "osd.1", "addrs": "10.0.0.1:7001"},
		{"name": "osd.2", "addrs": "[v2:10.0.0.2:7001/5,v2:[fd00::2]:7001/5]"}]}` + "\n"))
	require.NoError(t, err)
	m2, err = NewMap(epoch, entries...)
	require.NoError(t, err)
	require.Equal(t, m, m2)

	// What was cut anywhere is no map: the line feed at the end alone may be missing.
	for _, whole := range []string{string(again), `{"epoch":7,"entries":[{"name":"osd.1","addrs":"10.0.0.1:7001"}]}`} {
		for i := range len(whole) - 1 {
			_, _, err := ParseMap([]byte(whole[:i]))
			require.Error(t, err, "%q", whole[:i])
		}
	}
	for _, bad := range []string{
		"osd.1 10.0.0.1:7001\nepoch 7\nend", "epoch 7\nepoch 8\nend", "epoch 0\nend", "epoch x\nend", "osd.1\nend",
		"osd.1 10.0.0.1:7001 x\nend", "osd.x 10.0.0.1:7001\nend", "osd.1 localhost:1\nend", "end\nosd.1 10.0.0.1:7001",
		`{"epoch":7,"entries":[]} x`, `{"epoch":7,"nodes":[]}`, `{"entries":[{"name":"x","addrs":"10.0.0.1:1"}]}`,
	} {
		_, _, err := ParseMap([]byte(bad))
		require.Error(t, err, "%q", bad)
	}
}

func TestBoardGoesForward(t *testing.T) {
	var b Board
	one, two := makeMap(t, 1, "osd.1", "10.0.0.1:1"), makeMap(t, 2, "osd.1", "10.0.0.2:1")
	require.NoError(t, b.Publish(two))
	require.ErrorIs(t, b.Publish(one), ErrOld)
	require.ErrorIs(t, b.Publish(makeMap(t, 2, "osd.1", "10.0.0.3:1")), ErrConflict)
	require.NoError(t, b.Publish(makeMap(t, 2, "osd.1", "10.0.0.2:1")))
	require.Same(t, two, b.Current())
	require.Equal(t, Stats{Maps: 1, Old: 1, Conflicts: 1}, b.Stats())
	require.NoError(t, b.Close())
	require.ErrorIs(t, b.Publish(makeMap(t, 3)), ErrClosed)
	_, err := b.Resolve(t.Context(), entity.OSD(1))
	require.ErrorIs(t, err, ErrClosed)
}

func TestResolveWaitsForTheFirstMap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b Board
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := b.Resolve(ctx, entity.OSD(1))
		require.ErrorIs(t, err, ErrNoMap)
		require.ErrorIs(t, err, context.Canceled)
		b.Trouble(errors.New("it rains"), false)
		_, err = b.Resolve(ctx, entity.OSD(1))
		require.ErrorContains(t, err, "it rains")

		got := make(chan error)
		go func() {
			e, err := b.Resolve(t.Context(), entity.OSD(1))
			if err == nil && e.Addrs.String() != "v2:10.0.0.1:1" {
				err = errors.New(e.Addrs.String())
			}
			got <- err
		}()
		synctest.Wait() // it waits
		require.NoError(t, b.Publish(makeMap(t, 1, "osd.1", "10.0.0.1:1")))
		require.NoError(t, <-got)
		_, err = b.Resolve(ctx, entity.OSD(2)) // ctx is over, and nothing is to be waited for
		require.ErrorIs(t, err, ErrUnknown)
	})
}

func TestWatchSkipsWhatIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b Board
		var seen []uint64
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		publish := func(epochs ...uint64) {
			for _, e := range epochs {
				require.NoError(t, b.Publish(makeMap(t, e, "osd.1", "10.0.0.1:1")))
			}
		}
		go func() {
			done <- b.Watch(ctx, func(m *Map) {
				if seen = append(seen, m.Epoch); m.Epoch == 1 {
					publish(2, 3) // while f runs
				}
			})
		}()
		synctest.Wait()
		publish(1)
		synctest.Wait()
		require.Equal(t, []uint64{1, 3}, seen)
		publish(9)
		synctest.Wait()
		require.Equal(t, []uint64{1, 3, 9}, seen)
		cancel()
		require.ErrorIs(t, <-done, context.Canceled)
		go func() { done <- b.Watch(t.Context(), func(*Map) {}) }()
		synctest.Wait()
		require.NoError(t, b.Close())
		require.ErrorIs(t, <-done, ErrClosed)
	})
}

func TestStatic(t *testing.T) {
	s, err := NewStatic(entry(t, "osd.1", "10.0.0.1:1"))
	require.NoError(t, err)
	require.NoError(t, s.Set(entry(t, "osd.1", "10.0.0.1:1"))) // the same: no news
	require.EqualValues(t, 1, s.Current().Epoch)
	require.NoError(t, s.Set())
	require.EqualValues(t, 2, s.Current().Epoch)
	var same *SameAddressError
	require.ErrorAs(t, s.Set(entry(t, "osd.1", "10.0.0.1:1"), entry(t, "osd.2", "10.0.0.1:1")), &same)
	require.EqualValues(t, 2, s.Current().Epoch)
}
