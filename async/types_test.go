package async

import (
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/stretchr/testify/require"
)

// TestReserveTypes: who asks for types that another has is told whose they are.
func TestReserveTypes(t *testing.T) {
	l := newLab(t)
	m := l.node(entity.Client(1), msg.LosslessClient())
	require.NoError(t, m.ReserveTypes("b", 100, 199))
	require.NoError(t, m.ReserveTypes("a", 50, 99))
	require.NoError(t, m.ReserveTypes("c", 200, 200))
	for _, c := range []struct {
		owner       string
		first, last uint16
		by          msg.TypeRange
	}{
		{"d", 0, 50, msg.TypeRange{Owner: "a", First: 50, Last: 99}},
		{"d", 60, 70, msg.TypeRange{Owner: "a", First: 50, Last: 99}},
		{"d", 99, 100, msg.TypeRange{Owner: "a", First: 50, Last: 99}},
		{"d", 0, 65535, msg.TypeRange{Owner: "a", First: 50, Last: 99}},
		{"d", 199, 300, msg.TypeRange{Owner: "b", First: 100, Last: 199}},
		{"d", 200, 65535, msg.TypeRange{Owner: "c", First: 200, Last: 200}},
		{"b", 100, 199, msg.TypeRange{Owner: "b", First: 100, Last: 199}}, // twice
		{"b", 150, 250, msg.TypeRange{Owner: "b", First: 100, Last: 199}},
	} {
		err := m.ReserveTypes(c.owner, c.first, c.last)
		require.ErrorIs(t, err, msg.ErrTypesTaken, "%+v", c)
		var taken *msg.TypesTakenError
		require.ErrorAs(t, err, &taken)
		require.Equal(t, c.by, taken.TypeRange)
		require.Equal(t, msg.TypeRange{Owner: c.owner, First: c.first, Last: c.last}, taken.Asked)
		require.ErrorContains(t, err, c.by.String())
		require.ErrorContains(t, err, taken.Asked.String())
	}
	require.Error(t, m.ReserveTypes("d", 20, 19))
	require.Error(t, m.ReserveTypes("", 20, 29))
	require.NoError(t, m.Start())
	require.NoError(t, m.ReserveTypes("d", 0, 49))
	require.NoError(t, m.ReserveTypes("d", 201, 65535))
	require.Equal(t, "[d 0x0000-0x0031 a 0x0032-0x0063 b 0x0064-0x00c7 c 0x00c8 d 0x00c9-0xffff]",
		fmt.Sprint(m.ReservedTypes()))

	require.False(t, m.ReleaseTypes("a", 50, 98))
	require.False(t, m.ReleaseTypes("b", 50, 99))
	require.True(t, m.ReleaseTypes("a", 50, 99))
	require.False(t, m.ReleaseTypes("a", 50, 99))
	require.NoError(t, m.ReserveTypes("e", 50, 99))
	require.Len(t, m.ReservedTypes(), 5)
}

// TestReserveTypesBound: there is a bound for the ranges, and room again after a release.
func TestReserveTypesBound(t *testing.T) {
	var x typeTable
	at := func(i int) msg.TypeRange {
		return msg.TypeRange{Owner: "many", First: uint16(2 * i), Last: uint16(2 * i)}
	}
	for i := range msg.TypeRangesMax {
		require.NoError(t, x.reserve(at(i)))
	}
	require.ErrorIs(t, x.reserve(at(msg.TypeRangesMax)), msg.ErrTypesFull)
	require.ErrorIs(t, x.reserve(at(7)), msg.ErrTypesTaken)
	require.True(t, x.release(at(7)))
	require.NoError(t, x.reserve(at(msg.TypeRangesMax)))
	require.ErrorIs(t, x.reserve(at(7)), msg.ErrTypesFull)
}

// TestReserveTypesModel: what the table answers is what one owner per number would give.
func TestReserveTypesModel(t *testing.T) {
	seed := rand.Uint64()
	t.Log("seed", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	var x typeTable
	owners := map[uint16]string{}
	free := func(k msg.TypeRange) bool {
		for n := k.First; n <= k.Last; n++ {
			if owners[n] != "" {
				return false
			}
		}
		return true
	}
	set := func(k msg.TypeRange, owner string) {
		for n := k.First; n <= k.Last; n++ {
			owners[n] = owner
		}
	}
	for range 5000 {
		first := uint16(r.IntN(300))
		k := msg.TypeRange{Owner: "o" + strconv.Itoa(r.IntN(4)), First: first, Last: first + uint16(r.IntN(12))}
		if len(x.ranges) > 0 && r.IntN(3) == 0 {
			k = x.ranges[r.IntN(len(x.ranges))]
			require.True(t, x.release(k))
			set(k, "")
			continue
		}
		if err := x.reserve(k); free(k) {
			require.NoError(t, err)
			set(k, k.Owner)
		} else {
			var taken *msg.TypesTakenError
			require.ErrorAs(t, err, &taken)
			require.True(t, taken.Overlaps(k))
			require.Equal(t, taken.Owner, owners[max(taken.First, k.First)])
		}
	}
}

// TestReserveTypesRace: of many who ask for the same types at a time one gets them.
func TestReserveTypesRace(t *testing.T) {
	var x typeTable
	var won atomic.Int64
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			if x.reserve(msg.TypeRange{Owner: strconv.Itoa(i), First: 10, Last: uint16(10 + i)}) == nil {
				won.Add(1)
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 1, won.Load())
}

// TestOwnTypeRanges: the ranges of this library's packages do not overlap, and are those of
// docs/TYPES.md.
func TestOwnTypeRanges(t *testing.T) {
	inCode := []msg.TypeRange{
		{Owner: "async/rpc", First: msg.TypeRPCFirst, Last: msg.TypeRPCLast},
		{Owner: "async/stream", First: msg.TypeStreamFirst, Last: msg.TypeStreamLast},
		{Owner: "async/adapters/raft", First: msg.TypeRaftFirst, Last: msg.TypeRaftLast},
		{Owner: "async/adapters/memberlist", First: msg.TypeMemberlistFirst, Last: msg.TypeMemberlistLast},
		{Owner: "async/adapters/etcdraft", First: msg.TypeEtcdRaftFirst, Last: msg.TypeEtcdRaftLast},
		{Owner: "async/resolve/gossip", First: msg.TypeGossipFirst, Last: msg.TypeGossipLast},
		{Owner: "msgr node", First: msg.TypeNodeFirst, Last: msg.TypeNodeLast},
	}
	var x typeTable
	for _, r := range inCode {
		require.NoError(t, x.reserve(r))
	}
	page, err := os.ReadFile("../docs/TYPES.md")
	require.NoError(t, err)
	number := func(s string) uint16 {
		n, err := strconv.ParseUint(s, 0, 16)
		require.NoError(t, err)
		return uint16(n)
	}
	var inPage []msg.TypeRange
	row := regexp.MustCompile("(?m)^\\| `(0xE[0-9A-F]{3})` - `(0xE[0-9A-F]{3})` \\| `([^`]+)` \\|")
	for _, m := range row.FindAllStringSubmatch(string(page), -1) {
		inPage = append(inPage, msg.TypeRange{Owner: m[3], First: number(m[1]), Last: number(m[2])})
	}
	require.ElementsMatch(t, inCode, inPage)
}
