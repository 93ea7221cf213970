package node

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func openTest(t *testing.T, dir string, max int64) *Store {
	t.Helper()
	s, err := OpenStore(dir, 7, max, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	return s
}

func putTest(t *testing.T, s *Store, k string, counter uint64, v string) {
	t.Helper()
	safe, err := s.Put(Object{Key: k, Version: Version{counter, 1}, Value: []byte(v)})
	require.NoError(t, err)
	require.NoError(t, safe())
}

func valueOf(s *Store, k string) string {
	o, _ := s.Get(k)
	return string(o.Value)
}

func TestStoreKeepsTheNewest(t *testing.T) {
	s := openTest(t, "", 1000)
	putTest(t, s, "a", 2, "two")
	putTest(t, s, "a", 1, "one")
	putTest(t, s, "a", 2, "another two")
	require.Equal(t, "two", valueOf(s, "a"))
	o, _ := s.Get("b")
	require.Equal(t, Object{Key: "b"}, o)
	_, err := s.Put(Object{Key: "b", Version: Version{1, 1}, Value: make([]byte, 900)})
	require.ErrorIs(t, err, ErrFull)
	_, err = s.Put(Object{Key: "a", Version: Version{3, 1}, Deleted: true})
	require.NoError(t, err)
	o, _ = s.Get("a")
	require.True(t, o.Deleted)
	n, size := s.Size()
	require.Equal(t, 1, n)
	require.EqualValues(t, 1+objectOverhead, size)
	metas, next, _ := s.Scan(0, 1<<20, func(string) bool { return true })
	require.Equal(t, []meta{{"a", Version{3, 1}, true}}, metas)
	require.Equal(t, bucketCount, next)
	for i := range bucketCount {
		s.Drop(i, func(string) bool { return false })
	}
	n, size = s.Size()
	require.Zero(t, n)
	require.Zero(t, size)
}

func TestScanByParts(t *testing.T) {
	s := openTest(t, "", 0)
	for i := range 500 {
		putTest(t, s, fmt.Sprintf("k%d", i), 1, "")
	}
	seen := map[string]bool{}
	parts := 0
	for first := 0; first < bucketCount; parts++ {
		metas, next, _ := s.Scan(first, 1000, func(string) bool { return true })
		require.Greater(t, next, first)
		for _, m := range metas {
			require.False(t, seen[m.Key])
			seen[m.Key] = true
		}
		first = next
	}
	require.Len(t, seen, 500)
	require.Greater(t, parts, 10)
}

func TestLogComesBack(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, dir, 0)
	require.EqualValues(t, 7, s.inc)
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() { putTest(t, s, fmt.Sprintf("k%d", i%10), uint64(i+1), fmt.Sprint(i)) })
	}
	wg.Wait()
	m := &Map{Cluster: 1, Epoch: 5, Members: mems(1, 2, 3)}
	require.NoError(t, s.saveMap(m))
	require.NoError(t, s.saveAcceptance(acceptance{Base: 5, Promised: ballot{3, 4}, Value: m}))
	_, err := OpenStore(dir, 8, 0, slog.New(slog.DiscardHandler))
	require.ErrorContains(t, err, "in use by another process")
	require.NoError(t, s.Close())

	s, err = OpenStore(dir, 8, 0, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	require.EqualValues(t, 7, s.inc, "the same life")
	require.Equal(t, m, s.last)
	require.Equal(t, acceptance{Base: 5, Promised: ballot{3, 4}, Value: m}, s.acc)
	for i := range 10 {
		require.Equal(t, fmt.Sprint(40+i), valueOf(s, fmt.Sprintf("k%d", i)))
	}
	require.NoError(t, s.Close())
}

// TestLogIsMadeShorter: what was overwritten goes when a store is opened.
func TestLogIsMadeShorter(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, dir, 0)
	for i := range 40 {
		putTest(t, s, "k", uint64(i+1), string(bytes.Repeat([]byte{byte('a' + i)}, 100_000)))
	}
	require.NoError(t, s.Close())
	size := func() int64 {
		st, err := os.Stat(filepath.Join(dir, "log"))
		require.NoError(t, err)
		return st.Size()
	}
	require.Greater(t, size(), int64(4_000_000))
	s = openTest(t, dir, 0)
	require.Less(t, size(), int64(200_000))
	putTest(t, s, "l", 1, "after")
	require.NoError(t, s.Close())
	s = openTest(t, dir, 0)
	require.Len(t, valueOf(s, "k"), 100_000)
	require.Equal(t, "after", valueOf(s, "l"))
	require.NoError(t, s.Close())
}

// TestLogCutAnywhere: a log that ends anywhere comes back with what was complete, and goes on.
func TestLogCutAnywhere(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, dir, 0)
	var ends []int // of the log after each write
	file := filepath.Join(dir, "log")
	size := func() int {
		st, err := os.Stat(file)
		require.NoError(t, err)
		return int(st.Size())
	}
	first := size()
	for i := range 5 {
		putTest(t, s, fmt.Sprintf("k%d", i), 1, fmt.Sprint(i))
		ends = append(ends, size())
	}
	require.NoError(t, s.Close())
	whole, err := os.ReadFile(file)
	require.NoError(t, err)
	for cut := first; cut <= len(whole); cut++ {
		end := cut // of the batch that is cut
		for _, e := range ends {
			if e > cut {
				end = e
				break
			}
		}
		// The file may have its new length before it has the bytes.
		for _, tail := range [][]byte{nil, make([]byte, min(20, end-cut))} {
			require.NoError(t, os.WriteFile(file, append(bytes.Clone(whole[:cut]), tail...), 0o600))
			s := openTest(t, dir, 0)
			for i, end := range ends {
				want := ""
				if end <= cut {
					want = fmt.Sprint(i)
				}
				require.Equal(t, want, valueOf(s, fmt.Sprintf("k%d", i)), "cut at %d", cut)
			}
			putTest(t, s, "new", 1, "new")
			require.NoError(t, s.Close())
			s = openTest(t, dir, 0)
			require.Equal(t, "new", valueOf(s, "new"))
			require.NoError(t, s.Close())
		}
	}
}

// TestLogDamage: what is not the end of a write is damage, and no node begins with it.
func TestLogDamage(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, dir, 0)
	for i := range 3 {
		putTest(t, s, fmt.Sprintf("k%d", i), 1, "some value")
	}
	require.NoError(t, s.Close())
	file := filepath.Join(dir, "log")
	whole, err := os.ReadFile(file)
	require.NoError(t, err)
	flipped := bytes.Clone(whole)
	flipped[bytes.Index(flipped, []byte("k1"))] ^= 1
	for _, b := range [][]byte{flipped, []byte("not a log"), whole[:4]} {
		require.NoError(t, os.WriteFile(file, b, 0o600))
		_, err = OpenStore(dir, 8, 0, slog.New(slog.DiscardHandler))
		require.ErrorContains(t, err, "with the folder moved away the node comes back as another")
	}
}

// TestLogCannotBeWritten: nothing is answered for that is not on disk.
func TestLogCannotBeWritten(t *testing.T) {
	s := openTest(t, t.TempDir(), 0)
	putTest(t, s, "k", 1, "v")
	require.NoError(t, s.log.file.Close()) // as a disk that fails
	for range 2 {
		safe, err := s.Put(Object{Key: "k", Version: Version{2, 1}})
		require.NoError(t, err)
		require.ErrorContains(t, safe(), "the log cannot be written")
	}
	_, safe := s.Get("k")
	require.Error(t, safe(), "what is not safe must not be told")
	_ = s.Close()
}
