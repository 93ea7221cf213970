package auth

import (
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
)

const methodX = 0x7001

// fake is both sides of a method that says yes, or what it is told to say.
type fake struct {
	method uint32
	modes  []uint32 // that the client proposes
	slow   bool
	refuse error
	closed *int
}

func (f fake) Slow() bool { return f.slow }
func (f fake) Close() error {
	if f.closed != nil {
		*f.closed++
	}
	return nil
}

type (
	fakeClient struct{ fake }
	fakeServer struct{ fake }
)

func (f fakeClient) NewExchange(_, _ entity.Type) ClientExchange { return f }
func (f fakeClient) Request() (Request, error) {
	return Request{Method: f.method, Modes: f.modes, Payload: fmt.Append(nil, f.method)}, nil
}

func (f fakeClient) BadMethod(r *RefusedError) (Request, error) {
	if f.refuse != nil {
		return f.Request()
	}
	return Request{}, r
}
func (f fakeClient) More(p []byte) ([]byte, error) { return append(p, byte(f.method)), nil }
func (f fakeClient) Done(id uint64, mode uint32, _ []byte) (Result, error) {
	return Result{GlobalID: id, Mode: mode}, nil
}
func (f fakeServer) NewExchange(_, _ entity.Type) ServerExchange { return f }
func (f fakeServer) Request(r Request) (Reply, error) {
	return Reply{Done: true, Result: Result{Mode: r.Modes[0]}}, f.refuse
}
func (f fakeServer) More([]byte) (Reply, error) {
	return Reply{Done: true, Result: Result{Mode: ModeCRC}}, f.refuse
}

var (
	none   = fakeClient{fake{method: MethodNone, modes: []uint32{ModeCRC}}}
	cephx  = fakeClient{fake{method: MethodCephX, modes: []uint32{ModeCRC, ModeSecure}}}
	strong = fakeClient{fake{method: methodX, modes: []uint32{ModeSecure}, slow: true}}
)

func refusal(of uint32, methods, modes []uint32) *RefusedError {
	return &RefusedError{Method: of, Result: -eOPNOTSUPP, Methods: methods, Modes: modes}
}

// TestDemand: what is demanded is asked for, and nothing else is taken.
func TestDemand(t *testing.T) {
	start := func(d Demand) ClientExchange { return d.NewExchange(entity.TypeClient, entity.TypeOSD) }
	x := start(Demand{Client: cephx, Modes: []uint32{ModeSecure}})
	r, err := x.Request()
	require.NoError(t, err)
	require.Equal(t, Request{Method: MethodCephX, Modes: []uint32{ModeSecure}, Payload: []byte("2")}, r)

	var down *DowngradeError
	for what, ask := range map[string]func() error{
		"a method without secure": func() error { _, err := start(Secure(none).(Demand)).Request(); return err },
		"another method": func() error {
			_, err := start(Demand{Client: cephx, Methods: []uint32{methodX}}).Request()
			return err
		},
		"crc is allowed": func() error {
			_, err := x.BadMethod(refusal(MethodCephX, []uint32{MethodCephX}, []uint32{ModeCRC}))
			require.ErrorIs(t, err, ErrRefused)
			require.ErrorContains(t, err, "demanded modes [secure]; offered methods [cephx], modes [crc]")
			return err
		},
		"none is allowed": func() error {
			_, err := start(Demand{Client: cephx, Methods: []uint32{MethodCephX}}).BadMethod(
				refusal(MethodCephX, []uint32{MethodNone}, []uint32{ModeCRC}))
			require.ErrorContains(t, err,
				"demanded methods [cephx], modes [secure crc]; offered methods [none], modes [crc]")
			return err
		},
		"crc is answered": func() error { _, err := x.Done(5, ModeCRC, nil); return err },
	} {
		err := ask()
		require.ErrorAs(t, err, &down, what)
		require.ErrorIs(t, err, ErrDowngrade, what)
		require.NotEmpty(t, down.Hint())
	}
	res, err := x.Done(5, ModeSecure, nil)
	require.NoError(t, err)
	require.Equal(t, Result{GlobalID: 5, Mode: ModeSecure}, res)
	got, err := x.More([]byte("x"))
	require.NoError(t, err)
	require.Equal(t, []byte("x\x02"), got)

	// What is allowed, and refused all the same, is the peer's refusal, whole.
	said := refusal(MethodCephX, []uint32{MethodNone, MethodCephX}, []uint32{ModeSecure, ModeCRC})
	_, err = x.BadMethod(said)
	require.Equal(t, said, err)

	// Other types of peers are not meant.
	d := Demand{Client: none, Types: []entity.Type{entity.TypeMon}, Modes: []uint32{ModeSecure}}
	_, err = start(d).Request()
	require.NoError(t, err)
	_, err = d.NewExchange(entity.TypeClient, entity.TypeMon).Request()
	require.ErrorIs(t, err, ErrDowngrade)

	// It is as slow as what is in it, and closes it.
	n := 0
	slow := strong
	slow.closed = &n
	require.True(t, IsSlow(start(Demand{Client: slow})))
	require.False(t, IsSlow(start(Demand{Client: none})))
	require.NoError(t, Close(start(Demand{Client: slow})))
	require.Equal(t, 1, n)
}

// TestMethodsOfAClient: in order, to what is allowed, and never below what is demanded.
func TestMethodsOfAClient(t *testing.T) {
	m := &Methods{
		Default: []Method{
			{Number: methodX, Client: strong}, {Number: MethodCephX, Client: cephx}, {Number: MethodNone, Client: none},
		},
		ByType: map[entity.Type][]Method{
			entity.TypeMon: {{Number: MethodNone, Client: none}}, entity.TypeMDS: {},
			entity.TypeMgr: {{Number: MethodNone, Server: fakeServer{}}},
		},
	}
	start := func(peer entity.Type) ClientExchange { return m.Client().NewExchange(entity.TypeClient, peer) }
	method := func(r Request, err error) uint32 {
		require.NoError(t, err)
		require.Equal(t, fmt.Append(nil, r.Method), r.Payload)
		return r.Method
	}
	all := []uint32{MethodNone, MethodCephX, methodX}
	x := start(entity.TypeOSD)
	require.EqualValues(t, methodX, method(x.Request()))
	require.EqualValues(t, MethodCephX, method(x.BadMethod(refusal(methodX, all[:2], []uint32{ModeCRC}))),
		"the next one")
	got, _ := x.More(nil)
	require.Equal(t, []byte{byte(MethodCephX)}, got)
	res, _ := x.Done(1, ModeCRC, nil)
	require.Equal(t, MethodCephX, res.Method)
	_, err := x.BadMethod(refusal(MethodCephX, all, nil))
	require.ErrorIs(t, err, ErrRefused, "it is allowed, and refuses: for a wrong key, say")
	require.EqualValues(t, MethodNone, method(x.BadMethod(refusal(MethodCephX, all[:1], nil))), "the last one")
	_, err = x.BadMethod(refusal(MethodNone, []uint32{methodX}, nil))
	require.ErrorIs(t, err, ErrDowngrade, "it does not go back")
	require.ErrorIs(t, err, ErrRefused)

	x = start(entity.TypeOSD)
	_, _ = x.Request()
	require.EqualValues(t, MethodNone, method(x.BadMethod(refusal(methodX, all[:1], nil))), "one is left out")

	require.Equal(t, MethodNone, method(start(entity.TypeMon).Request()), "this type has its own")
	for _, peer := range []entity.Type{entity.TypeMDS, entity.TypeMgr} {
		_, err = start(peer).Request()
		require.ErrorIs(t, err, ErrNoMethod)
	}

	demand := Demand{Client: m.Client(), Methods: []uint32{methodX, MethodCephX}}
	d := demand.NewExchange(entity.TypeClient, entity.TypeOSD)
	_, _ = d.Request()
	_, err = d.BadMethod(refusal(methodX, all[:1], []uint32{ModeCRC}))
	require.ErrorIs(t, err, ErrDowngrade)
	require.EqualValues(t, MethodCephX, method(d.BadMethod(refusal(methodX, all[:2], []uint32{ModeCRC}))))

	require.True(t, IsSlow(start(entity.TypeOSD)))
	require.False(t, IsSlow(start(entity.TypeMon)))
}

// TestMethodsOfAServer: by number, and what is refused hears what is allowed for its type.
func TestMethodsOfAServer(t *testing.T) {
	n := 0
	denied := errors.New("certificate expired")
	m := &Methods{
		Default: []Method{
			{Number: methodX, Server: fakeServer{fake{slow: true, closed: &n}}, Modes: []uint32{ModeSecure}},
			{Number: MethodCephX, Server: fakeServer{fake{closed: &n,
				refuse: fmt.Errorf("%w: %w", denied, &RefusedError{Method: MethodCephX, Result: -eACCES})}}},
		},
		ByType: map[entity.Type][]Method{
			entity.TypeClient: {{Number: MethodNone, Server: fakeServer{}}},
			entity.TypeMDS:    {{Number: MethodNone, Client: none}},
		},
	}
	start := func(peer entity.Type) ServerExchange { return m.Server().NewExchange(entity.TypeOSD, peer) }
	want := func(err error, result int32, methods, modes []uint32) {
		t.Helper()
		var r *RefusedError
		require.ErrorAs(t, err, &r)
		require.Equal(t, result, r.Result)
		require.Equal(t, methods, r.Methods)
		require.Equal(t, modes, r.Modes)
	}
	x := start(entity.TypeOSD)
	rep, err := x.Request(Request{Method: methodX, Modes: []uint32{ModeCRC, ModeSecure}})
	require.NoError(t, err)
	require.Equal(t, Result{Method: methodX, Mode: ModeSecure}, rep.Result, "crc is not among the modes of this one")
	_, err = x.More(nil)
	require.NoError(t, err)
	both := []uint32{methodX, MethodCephX}
	_, err = x.Request(Request{Method: methodX, Modes: []uint32{ModeCRC}})
	want(err, -eOPNOTSUPP, both, []uint32{ModeSecure, ModeCRC})
	_, err = x.Request(Request{Method: MethodNone, Modes: []uint32{ModeCRC}})
	want(err, -eOPNOTSUPP, both, []uint32{ModeSecure, ModeCRC})
	_, err = x.Request(Request{Method: MethodCephX, Modes: []uint32{ModeCRC}})
	want(err, -eACCES, both, []uint32{ModeSecure, ModeCRC})
	require.ErrorIs(t, err, denied)
	require.ErrorContains(t, err, "certificate expired")

	require.True(t, IsSlow(x))
	require.NoError(t, Close(x))
	require.Equal(t, 2, n)

	x = start(entity.TypeClient)
	_, err = x.Request(Request{Method: MethodNone, Modes: []uint32{ModeCRC}})
	require.NoError(t, err)
	_, err = x.Request(Request{Method: methodX, Modes: []uint32{ModeSecure}})
	want(err, -eOPNOTSUPP, []uint32{MethodNone}, []uint32{ModeCRC})
	require.False(t, IsSlow(x))
	_, err = start(entity.TypeMDS).Request(Request{Method: MethodNone, Modes: []uint32{ModeCRC}})
	want(err, -eOPNOTSUPP, nil, nil)
	require.Equal(t, []uint32{ModeSecure}, (&Method{Number: MethodTLS}).modes())
}

// TestResultCheck: what no method may say.
func TestResultCheck(t *testing.T) {
	key, secret := make([]byte, SessionKeyMin), make([]byte, ConnectionSecretMin)
	for says, r := range map[string]Result{
		"mode 0, which there is not":      {},
		"session key of 15 bytes":         {Mode: ModeCRC, SessionKey: key[1:]},
		"no session key in secure mode":   {Mode: ModeSecure, ConnectionSecret: secret},
		"connection secret of 39 bytes":   {Mode: ModeSecure, SessionKey: key, ConnectionSecret: secret[1:]},
		"method cephx gives a connection": {Method: MethodCephX, Mode: ModeSecure, SessionKey: key},
	} {
		require.ErrorContains(t, r.Check(), says)
	}
	for _, r := range []Result{
		{Mode: ModeCRC}, {Mode: ModeCRC, SessionKey: key},
		{Mode: ModeSecure, SessionKey: key, ConnectionSecret: secret},
	} {
		require.NoError(t, r.Check())
	}
}

// TestResultHidesItsKeys: a Result prints without its keys, whatever the verb, alone or in
// something else.
func TestResultHidesItsKeys(t *testing.T) {
	r := Result{Peer: entity.AuthName{Type: entity.TypeOSD, ID: "3"}, Proved: true, GlobalID: 7, Method: MethodTLS,
		Mode: ModeSecure, SessionKey: []byte("a session key of"),
		ConnectionSecret: []byte("a connection secret of 40 bytes and more"),
		Capabilities:     []byte("allow *"), Proof: 42}
	require.NoError(t, r.Check())
	require.Equal(t, "auth.Result(osd.3 proved, number 7, method tls, mode secure, capabilities of 7 bytes, "+
		"expires 0001-01-01T00:00:00Z, proof int, session key of 16 bytes, connection secret of 40 bytes)",
		fmt.Sprintf("%+v", r))
	var text strings.Builder
	log := slog.New(slog.NewJSONHandler(&text, nil))
	for _, v := range []any{r, &r, Reply{Done: true, Result: r}, []Result{r}, struct{ R *Result }{&r}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
			fmt.Fprintf(&text, verb+"\n", v)
		}
		slog.New(slog.NewTextHandler(&text, nil)).Info("x", "v", v)
		log.Info("x", "v", v)
	}
	for _, key := range [][]byte{r.SessionKey, r.ConnectionSecret} {
		for _, s := range []string{string(key[:8]), fmt.Sprintf("%x", key[:8]), fmt.Sprintf("%X", key[:8]),
			base64.StdEncoding.EncodeToString(key[:9]), strings.Trim(fmt.Sprint(key[:8]), "[]"),
			strings.TrimSuffix(strings.TrimPrefix(fmt.Sprintf("%#v", key[:8]), "[]byte{"), "}")} {
			require.NotContains(t, text.String(), s)
		}
	}
}
