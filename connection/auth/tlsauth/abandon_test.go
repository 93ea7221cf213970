package tlsauth

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/asyncmsgr/asyncmsgr/connection/auth"
)

// TestAbandoned: wherever a handshake stops, Close ends its goroutine before it returns;
// one that ended by itself has none, also without Close.
func TestAbandoned(t *testing.T) {
	clk, ca := newClock(), newCA(t, "ca")
	a := newGivenAuth(t, clk, issue(t, ca, osd3), ca)
	before := goleak.IgnoreCurrent()
	none := func(when string) { t.Helper(); require.NoError(t, goleak.Find(before), when) }
	for step := range 6 {
		c, v := a.Client().NewExchange(0, 0), a.Server().NewExchange(0, 0)
		var req auth.Request
		var rep auth.Reply
		var finish []byte
		var err error
		for i, do := range []func(){
			func() { req, err = c.Request() },
			func() { rep, err = v.Request(req) },
			func() { finish, err = c.More(rep.Payload) },
			func() { rep, err = v.More(finish) },
			func() { _, err = c.Done(0, auth.ModeSecure, rep.Payload) },
		} {
			if i < step {
				do()
				require.NoError(t, err)
			}
		}
		if step < 4 {
			closeExchange(c)
			closeExchange(v)
		}
		none("abandoned")
	}
	// Failures: of the client in More, of the server in Request and More.
	c, v := a.Client().NewExchange(0, 0), a.Server().NewExchange(0, 0)
	req, err := c.Request()
	require.NoError(t, err)
	rep, err := v.Request(req)
	require.NoError(t, err)
	rep.Payload[100] ^= 1
	_, err = c.More(rep.Payload)
	require.Error(t, err)
	_, err = v.More(req.Payload)
	require.Error(t, err)
	none("failed")
	req.Payload[1+chunkHeaderLen] ^= 4 // no ClientHello
	_, err = a.Server().NewExchange(0, 0).Request(req)
	require.Error(t, err)
	none("refused at once")
}
