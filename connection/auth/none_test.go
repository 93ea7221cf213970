package auth

import (
	"encoding/binary"
	"errors"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
)

var admin = entity.AuthName{Type: entity.TypeClient, ID: "admin"}

// TestNoneRequest compares with AUTH_REQUEST payloads of a real client (msgr2
// spec 2.1, 7): towards a monitor, and towards another daemon.
func TestNoneRequest(t *testing.T) {
	for _, tc := range []struct {
		self, peer entity.Type
		first      byte
	}{
		{entity.TypeClient, entity.TypeMon, PayloadMon}, {entity.TypeOSD, entity.TypeMon, PayloadMon},
		{entity.TypeMon, entity.TypeMon, PayloadAuthorizer}, {entity.TypeClient, entity.TypeOSD, PayloadAuthorizer},
	} {
		r, err := NoneClient{Name: admin}.NewExchange(tc.self, tc.peer).Request()
		require.NoError(t, err)
		require.Equal(t, MethodNone, r.Method)
		require.Equal(t, []uint32{ModeCRC}, r.Modes)
		want := append([]byte{tc.first}, "\x08\x00\x00\x00\x05\x00\x00\x00admin\x00\x00\x00\x00\x00\x00\x00\x00"...)
		require.Equal(t, want, r.Payload)
	}
}

func TestNoneExchange(t *testing.T) {
	s := &NoneServer{RequireName: true}
	for i := uint64(1); i <= 3; i++ {
		c := NoneClient{Name: admin}.NewExchange(entity.TypeClient, entity.TypeMon)
		r, err := c.Request()
		require.NoError(t, err)
		rep, err := s.NewExchange(entity.TypeMon, entity.TypeClient).Request(r)
		require.NoError(t, err)
		require.True(t, rep.Done)
		require.Equal(t, Result{GlobalID: i, Peer: admin, Mode: ModeCRC}, rep.Result)
		res, err := c.Done(rep.Result.GlobalID, rep.Result.Mode, rep.Payload)
		require.NoError(t, err)
		require.Equal(t, Result{GlobalID: i, Mode: ModeCRC}, res)
	}
}

func TestNoneGlobalID(t *testing.T) {
	s := &NoneServer{}
	req := func(first byte, id uint64) uint64 {
		p := binary.LittleEndian.AppendUint64(admin.Append([]byte{first}), id)
		rep, err := s.NewExchange(0, 0).Request(
			Request{Method: MethodNone, Modes: []uint32{ModeSecure, ModeCRC}, Payload: p})
		require.NoError(t, err)
		return rep.Result.GlobalID
	}
	require.Equal(t, uint64(4711), req(PayloadMon, 4711), "one that was assigned before is kept")
	require.Equal(t, uint64(1), req(PayloadMon, 0))
	require.Equal(t, uint64(0), req(PayloadAuthorizer, 0), "only a monitor assigns")
	require.Equal(t, uint64(9), req(PayloadAuthorizer, 9))

	var wg sync.WaitGroup
	ids := make([]uint64, 50)
	for i := range ids {
		wg.Go(func() { ids[i] = req(PayloadMon, 0) })
	}
	wg.Wait()
	seen := map[uint64]bool{}
	for _, id := range ids {
		require.False(t, seen[id])
		seen[id] = true
	}
}

func TestNoneRefuses(t *testing.T) {
	good := Request{Method: MethodNone, Modes: []uint32{ModeCRC},
		Payload: binary.LittleEndian.AppendUint64(admin.Append([]byte{PayloadMon}), 0)}
	for name, tc := range map[string]struct {
		change func(*Request)
		errno  int32
	}{
		"method":         {func(r *Request) { r.Method = MethodCephX }, -95},
		"only secure":    {func(r *Request) { r.Modes = []uint32{ModeSecure} }, -95},
		"no mode":        {func(r *Request) { r.Modes = nil }, -95},
		"no name":        {func(r *Request) { r.Payload = nil }, -13},
		"payload mode 0": {func(r *Request) { r.Payload = append([]byte{0}, r.Payload[1:]...) }, -13},
		"payload mode":   {func(r *Request) { r.Payload = append([]byte{20}, r.Payload[1:]...) }, -13},
		"truncated":      {func(r *Request) { r.Payload = r.Payload[:len(r.Payload)-1] }, -13},
	} {
		r := good
		tc.change(&r)
		rep, err := (&NoneServer{RequireName: true}).NewExchange(0, 0).Request(r)
		var refusal *RefusedError
		require.ErrorAs(t, err, &refusal, name)
		require.ErrorIs(t, err, ErrRefused)
		require.Equal(t, &RefusedError{
			Method: r.Method, Result: tc.errno, Methods: []uint32{MethodNone}, Modes: []uint32{ModeCRC},
		}, refusal, name)
		require.Equal(t, Reply{}, rep)
		require.NotEmpty(t, err.Error())
	}
	rep, err := (&NoneServer{}).NewExchange(0, 0).Request(Request{Method: MethodNone, Modes: []uint32{ModeCRC}})
	require.NoError(t, err, "heartbeats may come without a name")
	require.Equal(t, Reply{Done: true, Result: Result{Mode: ModeCRC}}, rep)
	_, err = (&NoneServer{}).NewExchange(0, 0).More(nil)
	require.ErrorIs(t, err, ErrRefused)
	require.False(t, errors.As(err, new(*RefusedError)), "that drops the connection")

	c := NoneClient{Name: admin}.NewExchange(0, 0)
	_, err = c.More(nil)
	require.ErrorIs(t, err, ErrRefused)
	_, err = c.Done(1, ModeSecure, nil)
	require.ErrorIs(t, err, ErrRefused, "with method NONE only CRC is ever allowed")
	no := &RefusedError{Method: 1, Result: -13}
	_, err = c.BadMethod(no)
	require.Equal(t, no, err)
}

func TestChooseMode(t *testing.T) {
	m, ok := ChooseMode([]uint32{7, 2, 1}, []uint32{1, 2})
	require.True(t, ok)
	require.Equal(t, ModeSecure, m, "the first of the client's list that is allowed")
	_, ok = ChooseMode([]uint32{7}, []uint32{1, 2})
	require.False(t, ok)
}

// FuzzNoneServer: no payload makes it panic, and it lets in only what it can read.
func FuzzNoneServer(f *testing.F) {
	f.Add(uint32(1), binary.LittleEndian.AppendUint64(admin.Append([]byte{PayloadMon}), 0))
	f.Add(uint32(1), binary.LittleEndian.AppendUint64(admin.Append([]byte{PayloadAuthorizer}), 1<<63))
	f.Add(uint32(2), []byte{1})
	f.Add(uint32(1), []byte("\x0a\x08\x00\x00\x00\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, method uint32, payload []byte) {
		rep, err := (&NoneServer{RequireName: true}).NewExchange(0, 0).Request(
			Request{Method: method, Modes: []uint32{ModeCRC}, Payload: payload})
		if err != nil {
			require.ErrorIs(t, err, ErrRefused)
			require.False(t, rep.Done)
			return
		}
		require.True(t, rep.Done)
		require.Equal(t, MethodNone, method)
		require.LessOrEqual(t, len(rep.Result.Peer.ID), len(payload))
	})
}
