package asynctest

import (
	"crypto/sha256"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
)

// testAuth is an authentication for runs: a shared key, some rounds, sometimes a
// refusal first, in crc or secure mode. It proves nothing. It is both sides of it.
type testAuth struct {
	mode     uint32
	rounds   int
	refusals bool // every second request is refused
	rekey    uint64
	slow     bool
	steps    int // methods that ran
	open     int // exchanges that were not closed
}

// Slow implements auth.Slow.
func (a *testAuth) Slow() bool { return a.slow }

const testMethod = 0x7e57

var testKey = sha256.Sum256([]byte("asynctest"))

func (a *testAuth) result(peer entity.AuthName) auth.Result {
	k := testKey[:]
	r := auth.Result{GlobalID: 77, Mode: a.mode, Peer: peer, SessionKey: k[:16]}
	if a.mode == auth.ModeSecure {
		r.ConnectionSecret = append(append([]byte(nil), k...), k...)
	}
	return r
}

// testClient implements auth.Client and auth.ClientExchange.
type testClient struct{ *testAuth }

func (c testClient) NewExchange(_, _ entity.Type) auth.ClientExchange {
	c.open++
	return c
}

// Close implements io.Closer.
func (a *testAuth) Close() error {
	a.open--
	return nil
}

func (c testClient) Request() (auth.Request, error) {
	c.steps++
	return auth.Request{Method: testMethod, Modes: []uint32{c.mode}}, nil
}
func (c testClient) BadMethod(*auth.RefusedError) (auth.Request, error) { return c.Request() }
func (c testClient) More(p []byte) ([]byte, error)                      { return p, nil }
func (c testClient) Done(uint64, uint32, []byte) (auth.Result, error) {
	return c.result(entity.AuthName{}), nil
}

// testServer implements auth.Server: one of each node, and so deterministic.
type testServer struct {
	*testAuth
	refused bool // every second request
}

// NewExchange implements auth.Server.
func (s *testServer) NewExchange(_, _ entity.Type) auth.ServerExchange {
	s.open++
	return &testExchange{testServer: s}
}

// testExchange implements auth.ServerExchange.
type testExchange struct {
	*testServer
	round int
}

func (x *testExchange) Request(r auth.Request) (auth.Reply, error) {
	x.steps++
	if x.refused = x.refusals && !x.refused; x.refused {
		return auth.Reply{}, &auth.RefusedError{Method: r.Method, Result: -13, Methods: []uint32{testMethod},
			Modes: []uint32{x.mode}}
	}
	return x.next()
}

func (x *testExchange) More([]byte) (auth.Reply, error) { return x.next() }

func (x *testExchange) next() (auth.Reply, error) {
	if x.round < x.rounds {
		x.round++
		return auth.Reply{Payload: []byte{byte(x.round)}}, nil
	}
	return auth.Reply{Done: true, Result: x.result(entity.AuthName{})}, nil
}
