package entity

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// forgetTypes has the types that a test registers forgotten.
func forgetTypes(t *testing.T) {
	before := knownTypes.Load()
	t.Cleanup(func() { knownTypes.Store(before) })
}

// TestRegisterType: a type of one's own has a name in all texts.
func TestRegisterType(t *testing.T) {
	forgetTypes(t)
	const raft, store = Type(64), Type(65)
	require.Equal(t, "type64.3", Name{raft, 3}.String())
	require.NoError(t, RegisterType(raft, "raft"))
	require.NoError(t, RegisterType(store, "kv-store_2"))
	for text, name := range map[string]Name{"raft.3": {raft, 3}, "raft.?": {raft, NumNew}, "kv-store_2.0": {store, 0}} {
		require.Equal(t, text, name.String())
		back, err := ParseName(text)
		require.NoError(t, err)
		require.Equal(t, name, back)
	}
	a, err := ParseAuthName("raft.a.b")
	require.NoError(t, err)
	require.Equal(t, AuthName{raft, "a.b"}, a)
	require.Equal(t, "raft.a.b", a.String())
	b, err := json.Marshal(map[Name]Type{{raft, 3}: store})
	require.NoError(t, err)
	require.JSONEq(t, `{"raft.3":"kv-store_2"}`, string(b))
	var back map[Name]Type
	require.NoError(t, json.Unmarshal(b, &back))
	require.Equal(t, map[Name]Type{{raft, 3}: store}, back)

	old, err := ParseName("type64.3") // from one who does not know the name
	require.NoError(t, err)
	require.Equal(t, Name{raft, 3}, old)
	textsOfTypes(t)
}

func TestRegisterTypeRefuses(t *testing.T) {
	forgetTypes(t)
	require.NoError(t, RegisterType(64, "raft"))
	for _, c := range []struct {
		t    Type
		name string
	}{
		{64, "raft"}, {64, "other"}, {65, "raft"}, {TypeOSD, "disk"}, {TypeAny, "all"}, {66, "osd"}, {67, "any"},
		{0, "nobody"},
	} {
		require.ErrorIs(t, RegisterType(c.t, c.name), ErrTypeTaken, "%v", c)
	}
	for _, bad := range []string{"", "Raft", "raft.", "ra ft", "7raft", "-raft", "räft", "type", "type7", "type999",
		strings.Repeat("x", 33)} {
		err := RegisterType(66, bad)
		require.Error(t, err, "%q", bad)
		require.NotErrorIs(t, err, ErrTypeTaken)
	}
	require.NoError(t, RegisterType(66, "typed"))
	require.NoError(t, RegisterType(67, "type7a"))
	require.NoError(t, RegisterType(68, strings.Repeat("x", 32)))
	require.Equal(t, "type69", Type(69).String())
}

// TestRegisterTypeAll: as many as there are numbers, from all sides; each is registered once.
func TestRegisterTypeAll(t *testing.T) {
	forgetTypes(t)
	var wg sync.WaitGroup
	var got atomic.Int64
	for range 4 {
		wg.Go(func() {
			for n := range 256 {
				if RegisterType(Type(n), fmt.Sprintf("own-%d", n)) == nil {
					got.Add(1)
				}
				_, _ = ParseName(Name{Type(n), 1}.String())
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 256-7-1, got.Load())
	textsOfTypes(t)
}

// textsOfTypes: each number prints as what parses as it.
func textsOfTypes(t *testing.T) {
	for i := range 256 {
		back, err := ParseType(Type(i).String())
		require.NoError(t, err)
		require.Equal(t, Type(i), back)
	}
}
