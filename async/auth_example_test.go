package async_test

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
	"github.com/asyncmsgr/asyncmsgr/eventloop/simnet"
)

// A method of authentication from beginning to end, which docs/AUTH_METHOD.md goes
// through: everybody has a password of its own, the servers have all of them, and both ends
// prove that they know it. (For teaching: it has no forward secrecy, and who has a server's
// list can be anybody.)
//
//	AUTH_REQUEST       name, 16 random bytes of the client's
//	AUTH_REPLY_MORE    16 random bytes of the server's, proof of the server
//	AUTH_REQUEST_MORE  proof of the client
//	AUTH_DONE          nothing
const methodPassword = 0x80000100 // a number that nobody else has

const nonceLen = 16

// login is what both ends know of one connection.
type login struct {
	password, name           string
	clientNonce, serverNonce []byte
}

// prove is the proof of one side, or a key: each use has a label of its own, and covers all
// that was said.
func (l *login) prove(label string) []byte {
	m := hmac.New(sha256.New, []byte(l.password))
	fmt.Fprintf(m, "%s %q %x %x", label, l.name, l.clientNonce, l.serverNonce)
	return m.Sum(nil)
}

func (l *login) result() auth.Result {
	return auth.Result{
		Mode:             auth.ModeSecure,
		SessionKey:       l.prove("session key"),
		ConnectionSecret: append(l.prove("connection secret 1"), l.prove("connection secret 2")...),
	}
}

// passwordClient is the connecting side.
type passwordClient struct{ name, password string }

func (c passwordClient) NewExchange(_, _ entity.Type) auth.ClientExchange {
	return &passwordClientExchange{login{name: c.name, password: c.password}}
}

type passwordClientExchange struct{ login }

func (x *passwordClientExchange) Request() (auth.Request, error) {
	x.clientNonce = make([]byte, nonceLen)
	rand.Read(x.clientNonce)
	return auth.Request{Method: methodPassword, Modes: []uint32{auth.ModeSecure},
		Payload: append([]byte(x.name), x.clientNonce...)}, nil
}

func (x *passwordClientExchange) BadMethod(refusal *auth.RefusedError) (auth.Request, error) {
	return auth.Request{}, refusal // there is nothing else to ask for
}

func (x *passwordClientExchange) More(p []byte) ([]byte, error) {
	if len(p) < nonceLen {
		return nil, fmt.Errorf("%w: a server that says too little", auth.ErrRefused)
	}
	x.serverNonce = append([]byte(nil), p[:nonceLen]...) // p is the session's
	if !hmac.Equal(p[nonceLen:], x.prove("server")) {
		return nil, fmt.Errorf("%w: the server does not know the password of %s", auth.ErrRefused, x.name)
	}
	return x.prove("client"), nil
}

func (x *passwordClientExchange) Done(_ uint64, _ uint32, _ []byte) (auth.Result, error) {
	return x.result(), nil
}

// passwordServer is the accepting side.
type passwordServer map[string]string

func (s passwordServer) NewExchange(_, _ entity.Type) auth.ServerExchange {
	return &passwordServerExchange{passwords: s}
}

type passwordServerExchange struct {
	login
	passwords passwordServer
	peer      entity.AuthName
}

// denied is what a stranger hears: a number. Err is for this side's log.
func denied(err error) error {
	return fmt.Errorf("%w: %w", err, &auth.RefusedError{
		Method: methodPassword, Result: -13, Methods: []uint32{methodPassword}, Modes: []uint32{auth.ModeSecure}})
}

func (x *passwordServerExchange) Request(r auth.Request) (auth.Reply, error) {
	if r.Method != methodPassword {
		return auth.Reply{}, &auth.RefusedError{
			Method: r.Method, Result: -95, Methods: []uint32{methodPassword}, Modes: []uint32{auth.ModeSecure}}
	}
	if _, ok := auth.ChooseMode(r.Modes, []uint32{auth.ModeSecure}); !ok || len(r.Payload) < nonceLen {
		return auth.Reply{}, denied(errors.New("a request that makes no sense"))
	}
	n := len(r.Payload) - nonceLen
	x.name, x.clientNonce = string(r.Payload[:n]), append([]byte(nil), r.Payload[n:]...)
	var err error
	if x.peer, err = entity.ParseAuthName(x.name); err != nil {
		return auth.Reply{}, denied(err)
	}
	var known bool
	if x.password, known = x.passwords[x.name]; !known {
		return auth.Reply{}, denied(fmt.Errorf("there is no %q", x.name))
	}
	x.serverNonce = make([]byte, nonceLen)
	rand.Read(x.serverNonce)
	return auth.Reply{Payload: append(append([]byte(nil), x.serverNonce...), x.prove("server")...)}, nil
}

func (x *passwordServerExchange) More(p []byte) (auth.Reply, error) {
	if !hmac.Equal(p, x.prove("client")) {
		return auth.Reply{}, denied(fmt.Errorf("%s has another password", x.name))
	}
	res := x.result()
	res.Peer, res.Proved = x.peer, true
	return auth.Reply{Done: true, Result: res}, nil
}

// An authentication method of one's own, in secure mode, on a simulated network.
func Example_authenticationMethod() {
	net := simnet.New(1, simnet.Config{})
	start := func(cfg async.Config, p msg.Policy) *async.Messenger {
		h := net.AddHost(cfg.Name.String(), simnet.HostConfig{})
		cfg.Stack, cfg.Executor, cfg.Rand = h, h, h.Rand
		m, err := async.New(cfg)
		if err != nil {
			panic(err)
		}
		m.SetDefaultPolicy(p)
		return m
	}
	server := start(async.Config{
		Name:       entity.OSD(0),
		AuthServer: passwordServer{"client.alice": "swordfish", "client.bob": "hunter2"},
		Authorize: func(p auth.Peer) error {
			if p.Name.ID == "bob" {
				return errors.New("bob is on holiday")
			}
			return nil
		},
	}, msg.StatefulServer())
	if err := errors.Join(server.Bind(netip.MustParseAddrPort("0.0.0.0:6800")), server.Start()); err != nil {
		panic(err)
	}
	for i, who := range []passwordClient{
		{"client.alice", "swordfish"}, {"client.alice", "password"}, {"client.bob", "hunter2"},
	} {
		client := start(async.Config{Name: entity.Client(int64(i)), AuthClient: who}, msg.LosslessClient())
		if err := client.Start(); err != nil {
			panic(err)
		}
		c, err := client.ConnectTo(entity.TypeOSD, server.Addrs())
		if err != nil {
			panic(err)
		}
		_ = net.RunUntil(func() bool { return c.IsConnected() || c.LastError() != nil }, time.Minute)
		if c.IsConnected() {
			fmt.Println(who.name, "is in,", auth.ModeName(c.Authenticated().Mode))
		} else {
			fmt.Println(who.name, "is not:", errors.Is(c.LastError(), auth.ErrRefused))
		}
		c.MarkDown()
	}
	// Output:
	// client.alice is in, secure
	// client.alice is not: true
	// client.bob is not: true
}
