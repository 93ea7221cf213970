package session

import (
	"crypto/sha256"
	"errors"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
)

// fakeAuth is a method with a shared key, some rounds and some refusals; it uses
// secure mode. It is its own client and server.
type fakeAuth struct {
	key      string
	rounds   int // of AUTH_REPLY_MORE
	refusals int // AUTH_BAD_METHOD before it agrees
	mode     uint32
	peer     entity.AuthName
	loop     bool // the client never gives up
	short    bool // a connection secret that is too short
	slow     bool
	proved   bool                 // peer is
	change   func(r *auth.Result) // of the server
	during   func(what string)    // in each method
	got      func(payload []byte) // at the end of the client's More
	closed   *int                 // counts the exchanges that were closed
}

// Slow implements auth.Slow.
func (f *fakeAuth) Slow() bool { return f.slow }

// Close implements io.Closer.
func (f *fakeAuth) Close() error {
	f.in("Close")
	if f.closed != nil {
		*f.closed++
	}
	return nil
}

func (f *fakeAuth) in(what string) {
	if f.during != nil {
		f.during(what)
	}
}

var errFakeAuth = errors.New("fake auth: gave up")

func (f *fakeAuth) result() auth.Result {
	r := auth.Result{GlobalID: 77, Mode: f.mode, Peer: f.peer, Proved: f.proved}
	if f.key != "" {
		k := sha256.Sum256([]byte(f.key))
		r.SessionKey = k[:16]
		r.ConnectionSecret = append(append([]byte(nil), k[:]...), k[:]...)
	}
	if f.short {
		r.ConnectionSecret = r.ConnectionSecret[:39]
	}
	return r
}

type fakeClient struct {
	*fakeAuth
}

func (f fakeClient) NewExchange(_, _ entity.Type) auth.ClientExchange { return f }
func (f fakeClient) Request() (auth.Request, error) {
	f.in("client Request")
	return auth.Request{Method: 2, Modes: []uint32{f.mode}, Payload: []byte("let me in")}, nil
}
func (f fakeClient) BadMethod(r *auth.RefusedError) (auth.Request, error) {
	f.in("client BadMethod")
	if f.refusals == 0 && !f.loop {
		return auth.Request{}, r
	}
	return f.Request()
}
func (f fakeClient) More(p []byte) ([]byte, error) {
	f.in("client More")
	if f.got != nil {
		f.got(p)
	}
	return p, nil
}
func (f fakeClient) Done(_ uint64, mode uint32, _ []byte) (auth.Result, error) {
	f.in("client Done")
	if mode != f.mode {
		return auth.Result{}, errFakeAuth
	}
	r := f.result()
	r.Peer, r.Proved = entity.AuthName{}, false
	return r, nil
}

type fakeServer struct {
	*fakeAuth
	// across exchanges of one node
	refused int
}

func (f *fakeServer) NewExchange(_, _ entity.Type) auth.ServerExchange { return &fakeServing{f, 0} }

type fakeServing struct {
	*fakeServer
	round int
}

func (f *fakeServing) Request(r auth.Request) (auth.Reply, error) {
	f.in("server Request")
	if f.refused < f.refusals {
		f.refused++
		return auth.Reply{}, &auth.RefusedError{Method: r.Method, Result: -13, Methods: []uint32{2},
			Modes: []uint32{f.mode}}
	}
	return f.next()
}
func (f *fakeServing) More([]byte) (auth.Reply, error) {
	f.in("server More")
	return f.next()
}
func (f *fakeServing) next() (auth.Reply, error) {
	if f.round < f.rounds {
		f.round++
		return auth.Reply{Payload: []byte{byte(f.round)}}, nil
	}
	r := f.result()
	if f.change != nil {
		f.change(&r)
	}
	return auth.Reply{Done: true, Payload: []byte("welcome"), Result: r}, nil
}

// useFake makes both sides of a node use f.
func useFake(f fakeAuth) nodeOption {
	return func(n *simNode) { n.client, n.server = fakeClient{&f}, &fakeServer{fakeAuth: &f} }
}
