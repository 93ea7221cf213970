package auth

import (
	"errors"
	"slices"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
)

// Method is one of several authentication methods.
type Method struct {
	// Number is the one on the wire: MethodNone and so on.
	Number uint32
	// Client and Server are its two sides; nil: this messenger does not ask by it, or
	// does not let in by it.
	Client Client
	Server Server
	// Modes are those that the server allows with it; nil: those that go with the method:
	// crc with NONE, secure with TLS, and both with any other.
	Modes []uint32
}

func (m *Method) modes() []uint32 {
	switch {
	case m.Modes != nil:
		return m.Modes
	case m.Number == MethodNone:
		return []uint32{ModeCRC}
	case m.Number == MethodTLS:
		return []uint32{ModeSecure}
	}
	return []uint32{ModeSecure, ModeCRC}
}

// Methods are several authentication methods, in the order of preference, by the type of
// the peer. Nothing is added to a list: NONE and a stronger method go together with a type
// of peers only if the list of that type has both, and then a peer that can do the
// stronger one may still be talked into NONE by who sits between. Demand keeps a client
// from that.
//
// A method's exchanges are all made when a connection begins, before it is known which one
// is needed: making them must be cheap.
type Methods struct {
	// Default are those for types of peers that have no list of their own.
	Default []Method
	// ByType are the lists of the other types; an empty one lets none of that type in.
	ByType map[entity.Type][]Method
}

func (m *Methods) of(peer entity.Type) []Method {
	if list, own := m.ByType[peer]; own {
		return list
	}
	return m.Default
}

// Client is the connecting side of m. It asks by the first method. Told that the peer
// allows others and not that one, it goes on to the next of its own that is among them.
// A method that is allowed, and still refuses, is not given up for another.
func (m *Methods) Client() Client { return methodsClient{m} }

// Server is the accepting side of m. What it refuses is told which methods and modes are
// allowed for its type, and no more.
func (m *Methods) Server() Server { return methodsServer{m} }

// ErrNoMethod: there is no method for peers of that type.
var ErrNoMethod = errors.New("auth: no method for peers of this type")

type methodsClient struct{ m *Methods }

func (c methodsClient) NewExchange(self, peer entity.Type) ClientExchange {
	x := &methodsClientExchange{}
	for _, m := range c.m.of(peer) {
		if m.Client != nil {
			x.methods = append(x.methods, m.Number)
			x.all = append(x.all, m.Client.NewExchange(self, peer))
		}
	}
	return x
}

// methodsClientExchange has an exchange of each method, of which now is under way.
type methodsClientExchange struct {
	methods []uint32
	all     []ClientExchange
	now     int
}

// Slow implements Slow: if any is, all are called where slow ones may be.
func (x *methodsClientExchange) Slow() bool {
	return slices.ContainsFunc(x.all, isSlow[ClientExchange])
}

func isSlow[X any](x X) bool { return IsSlow(x) }

// Close implements io.Closer.
func (x *methodsClientExchange) Close() error {
	var errs []error
	for _, e := range x.all {
		errs = append(errs, Close(e))
	}
	return errors.Join(errs...)
}

func (x *methodsClientExchange) Request() (Request, error) {
	if len(x.all) == 0 {
		return Request{}, ErrNoMethod
	}
	return x.all[x.now].Request()
}

func (x *methodsClientExchange) BadMethod(refusal *RefusedError) (Request, error) {
	if slices.Contains(refusal.Methods, x.methods[x.now]) {
		return x.all[x.now].BadMethod(refusal)
	}
	for i := x.now + 1; i < len(x.all); i++ {
		if slices.Contains(refusal.Methods, x.methods[i]) {
			x.now = i
			return x.all[i].Request()
		}
	}
	return Request{}, &DowngradeError{Methods: x.methods, Modes: orAny(nil), OfferedMethods: refusal.Methods,
		OfferedModes: refusal.Modes, Err: refusal}
}

func (x *methodsClientExchange) More(payload []byte) ([]byte, error) {
	return x.all[x.now].More(payload)
}

func (x *methodsClientExchange) Done(globalID uint64, mode uint32, payload []byte) (Result, error) {
	r, err := x.all[x.now].Done(globalID, mode, payload)
	if r.Method == 0 {
		r.Method = x.methods[x.now]
	}
	return r, err
}

type methodsServer struct{ m *Methods }

func (s methodsServer) NewExchange(self, peer entity.Type) ServerExchange {
	x := &methodsServerExchange{}
	for _, m := range s.m.of(peer) {
		if m.Server != nil {
			x.methods = append(x.methods, m)
			x.all = append(x.all, m.Server.NewExchange(self, peer))
		}
	}
	return x
}

type methodsServerExchange struct {
	methods []Method
	all     []ServerExchange
	now     int
}

// Slow implements Slow.
func (x *methodsServerExchange) Slow() bool {
	return slices.ContainsFunc(x.all, isSlow[ServerExchange])
}

// Close implements io.Closer.
func (x *methodsServerExchange) Close() error {
	var errs []error
	for _, e := range x.all {
		errs = append(errs, Close(e))
	}
	return errors.Join(errs...)
}

func (x *methodsServerExchange) Request(r Request) (Reply, error) {
	x.now = slices.IndexFunc(x.methods, func(m Method) bool { return m.Number == r.Method })
	if x.now < 0 {
		return Reply{}, x.refuse(&RefusedError{Method: r.Method, Result: -eOPNOTSUPP})
	}
	if r.Modes = only(r.Modes, x.methods[x.now].modes()); len(r.Modes) == 0 {
		return Reply{}, x.refuse(&RefusedError{Method: r.Method, Result: -eOPNOTSUPP})
	}
	return x.answer(x.all[x.now].Request(r))
}

func (x *methodsServerExchange) More(payload []byte) (Reply, error) {
	return x.answer(x.all[x.now].More(payload))
}

// answer is what a method says, with all that is allowed if that is a refusal.
func (x *methodsServerExchange) answer(rep Reply, err error) (Reply, error) {
	var refusal *RefusedError
	switch {
	case errors.As(err, &refusal):
		return rep, &listedError{err, x.refuse(refusal)}
	case err == nil && rep.Done && rep.Result.Method == 0:
		rep.Result.Method = x.methods[x.now].Number
	}
	return rep, err
}

// listedError is a method's refusal, with what it says of the reason, that the peer gets
// with another list.
type listedError struct {
	error
	listed *RefusedError
}

func (e *listedError) Unwrap() []error { return []error{e.listed, e.error} }

// refuse is a refusal that lists what is allowed.
func (x *methodsServerExchange) refuse(e *RefusedError) *RefusedError {
	all := *e
	all.Methods, all.Modes = nil, nil
	for _, m := range x.methods {
		all.Methods = append(all.Methods, m.Number)
		for _, mode := range m.modes() {
			if !slices.Contains(all.Modes, mode) {
				all.Modes = append(all.Modes, mode)
			}
		}
	}
	return &all
}
