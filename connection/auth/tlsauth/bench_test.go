package tlsauth

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
)

// BenchmarkHandshake is a whole handshake of both sides, with how much of the time each
// side takes and the bytes of the payloads in all.
func BenchmarkHandshake(b *testing.B) {
	clk, ca := newClock(), newCA(b, "ca")
	ecdsa := func(n entity.AuthName) *Auth {
		return newGivenAuth(b, clk, special(b, ca, withName(n)), ca)
	}
	for _, c := range []struct {
		name           string
		client, server *Auth
	}{
		{"Ed25519", newGivenAuth(b, clk, issue(b, ca, admin), ca), newGivenAuth(b, clk, issue(b, ca, osd3), ca)},
		{"P256", ecdsa(admin), ecdsa(osd3)},
		{"SharedSecret", newSecretAuth(b, clk, admin, secret), newSecretAuth(b, clk, osd3, secret)},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			var side [2]time.Duration
			bytes := 0
			client, server := c.client.Client(), c.server.Server()
			for b.Loop() {
				began := time.Now()
				lap := func(s int) {
					now := time.Now()
					side[s] += now.Sub(began)
					began = now
				}
				x, y := client.NewExchange(0, 0), server.NewExchange(0, 0)
				req, err := x.Request()
				require.NoError(b, err)
				lap(0)
				rep, err := y.Request(req)
				require.NoError(b, err)
				lap(1)
				finish, err := x.More(rep.Payload)
				require.NoError(b, err)
				lap(0)
				last, err := y.More(finish)
				require.NoError(b, err)
				lap(1)
				_, err = x.Done(0, auth.ModeSecure, last.Payload)
				require.NoError(b, err)
				lap(0)
				bytes = len(req.Payload) + len(rep.Payload) + len(finish) + len(last.Payload)
			}
			for i, name := range []string{"client-ns/op", "server-ns/op"} {
				b.ReportMetric(float64(side[i].Nanoseconds())/float64(b.N), name)
			}
			b.ReportMetric(float64(bytes), "wire-B")
		})
	}
}

// BenchmarkGarbage is what a server spends on a peer that is none: a ClientHello without
// its last byte, a payload that is malformed, another method; and a ClientHello that is
// sent again and again, which is the most that costs who sends it nothing.
func BenchmarkGarbage(b *testing.B) {
	clk, ca := newClock(), newCA(b, "ca")
	a := newGivenAuth(b, clk, issue(b, ca, osd3), ca)
	c := a.Client().NewExchange(0, 0)
	defer closeExchange(c)
	hello, err := c.Request()
	require.NoError(b, err)
	cut := hello
	cut.Payload = appendChunk(nil, 0, hello.Payload[1+chunkHeaderLen:len(hello.Payload)-1])
	for name, r := range map[string]auth.Request{
		"cut":       cut,
		"replayed":  hello,
		"malformed": {Method: auth.MethodTLS, Modes: hello.Modes, Payload: hello.Payload[:100]},
		"NONE":      {Method: auth.MethodNone, Modes: []uint32{auth.ModeCRC}},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				x := a.Server().NewExchange(0, 0)
				if _, err := x.Request(r); (err == nil) != (name == "replayed") {
					b.Fatal(err)
				}
				closeExchange(x)
			}
		})
	}
}
