package async

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
)

// saying is a server that says the same to everybody, and then listens.
func saying(t *testing.T, what string) entity.AddrVec {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			io.WriteString(c, what)
			io.Copy(io.Discard, c) // until the other end has had enough
			c.Close()
		}
	}()
	t.Cleanup(func() { ln.Close(); <-done })
	return entity.AddrVec{{Type: entity.AddrMsgr2, Nonce: 1, AddrPort: netip.MustParseAddrPort(ln.Addr().String())}}
}

// refusing is an authentication that lets nobody in.
type refusing struct{}

func (refusing) NewExchange(_, _ entity.Type) auth.ServerExchange { return refusing{} }
func (refusing) Request(r auth.Request) (auth.Reply, error) {
	return auth.Reply{}, &auth.RefusedError{Method: r.Method, Result: -13, Methods: []uint32{2}, Modes: []uint32{2}}
}
func (refusing) More([]byte) (auth.Reply, error) { return auth.Reply{}, nil }

// TestFailuresAreTold: whatever keeps a connection from coming up is told on both ends:
// as an event, by LastError and State, in the log, and in a counter, with its reason.
func TestFailuresAreTold(t *testing.T) {
	nobody := func(t *testing.T) entity.AddrVec {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		ln.Close()
		return entity.AddrVec{{Type: entity.AddrMsgr2, Nonce: 1, AddrPort: netip.MustParseAddrPort(ln.Addr().String())}}
	}
	for name, tc := range map[string]struct {
		at     func(t *testing.T) entity.AddrVec // nil: a server of ours
		server func(*Config)
		policy func(p *msg.Policy) // of the server
		target func(a *entity.Addr)
		reason msg.Reason
		says   string // in the client's log
		told   string // in the server's log
	}{
		"nobody": {at: nobody, reason: msg.ReasonRefused, says: "nothing listens at that address"},
		"a web server": {at: func(t *testing.T) entity.AddrVec { return saying(t, "HTTP/1.1 400 Bad Request\r\n") },
			reason: msg.ReasonNotMsgr, says: "begins with 'HTTP/1.1 400 Bad Request'"},
		"msgr v1": {at: func(t *testing.T) entity.AddrVec { return saying(t, "ceph v027") },
			reason: msg.ReasonVersion, says: "use the peer's v2 address"},
		"silence": {at: func(t *testing.T) entity.AddrVec { return saying(t, "") }, reason: msg.ReasonTimeout,
			says: "accepts connections there and then says nothing"},
		"another nonce": {target: func(a *entity.Addr) { a.Nonce++ }, reason: msg.ReasonWrongPeer,
			says: "ask for host:port without it",
			told: "the peer means an earlier process at this address"},
		"another type": {target: func(a *entity.Addr) { a.Type = entity.AddrMsgr2 },
			server: func(c *Config) { c.Name = entity.MDS(0) },
			reason: msg.ReasonWrongPeer, says: "it is a mds, expected a osd"},
		"authentication": {server: func(c *Config) { c.AuthServer = refusing{} }, reason: msg.ReasonAuth,
			says: "none refused with -13 (permission denied); allowed: methods [cephx], modes [secure]",
			told: "authentication refused"},
		"features": {policy: func(p *msg.Policy) { p.FeaturesRequired = 1 << 62 }, reason: msg.ReasonFeatures,
			says: "this side lacks", told: "peer lacks 0x4000000000000000"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			var ours, theirs logbook
			var srv *node
			var addrs entity.AddrVec
			if tc.at != nil {
				addrs = tc.at(t)
			} else {
				p := msg.StatefulServer()
				if tc.policy != nil {
					tc.policy(&p)
				}
				change := tc.server
				if change == nil {
					change = func(*Config) {}
				}
				srv = l.server(entity.OSD(0), p, l.withLog(&theirs), change)
				addrs = srv.Addrs().Clone()
				if tc.target != nil {
					tc.target(&addrs[0])
				}
			}
			cl := l.client(entity.Client(1), msg.LosslessClient(), l.withLog(&ours),
				func(c *Config) { c.ReadyTimeout = 300 * time.Millisecond })
			c, err := cl.ConnectTo(entity.TypeOSD, addrs)
			require.NoError(t, err)
			want := 3
			if tc.says == "it is a mds, expected a osd" {
				want = 1 // no other attempt would do better
			}
			var told *msg.ConnectError
			require.ErrorAs(t, cl.want("connect failed", want).err, &told)
			require.Equal(t, tc.reason, told.Reason, told)
			require.Equal(t, want, told.Attempt)
			require.ErrorAs(t, c.LastError(), &told)
			require.NotEqual(t, msg.StateReady, c.State())
			require.GreaterOrEqual(t, cl.Stats().ConnectFailures[tc.reason], uint64(want))
			lines := ours.lines("level=WARN", "cannot connect", tc.says)
			require.Len(t, lines, 1, "told once: %s", ours.buf.String())
			for _, b := range []*logbook{&ours, &theirs} {
				for _, bad := range []string{
					"invalid AddrPort", "type0", "invalid IP", "_CONNECTING", "_ACCEPTING", "bad banner",
				} {
					require.Empty(t, b.lines(bad))
				}
			}
			if tc.told != "" {
				require.Len(t, theirs.lines("level=WARN", "a peer could not connect", "from=127.0.0.1:", tc.told), 1,
					theirs.buf.String())
				require.NotZero(t, srv.Stats().AcceptFailures[tc.reason])
			}
		})
	}
}

// TestHints: what is said depends on what is known.
func TestHints(t *testing.T) {
	at := func(s string) entity.Addr {
		a, err := entity.ParseAddr(s)
		require.NoError(t, err)
		return a
	}
	hints := func(asked, is string) (ours, theirs string) {
		err := fmt.Errorf("wrapped: %w", &msg.WrongPeerError{Asked: at(asked), Is: entity.AddrVec{at(is)}})
		ours = (&msg.ConnectError{Reason: msg.ReasonWrongPeer, Err: err}).Hint()
		return ours, msg.AcceptHint(msg.ReasonWrongPeer, err)
	}
	ours, theirs := hints("10.0.0.1:7/1", "10.0.0.1:7/2")
	require.Contains(t, ours, "the nonce")
	require.Contains(t, theirs, "an earlier process")
	ours, theirs = hints("10.0.0.1:7/1", "10.0.0.2:7/1")
	require.Contains(t, ours, "is the address right")
	require.Contains(t, theirs, "Config.Advertise")

	late := &msg.ConnectError{Reason: msg.ReasonTimeout, State: "CONNECTING"}
	require.Contains(t, late.Hint(), "a firewall")
	late.State = "HELLO_CONNECTING"
	require.Contains(t, late.Hint(), "a peer that hangs")

	r := &msg.RejectedError{Dropped: true}
	require.Contains(t, r.Hint(), "given up")
	r.Dropped = false
	require.Contains(t, r.Hint(), "sent again")
	for r := range msg.Reason(msg.NumReasons) {
		require.NotEmpty(t, r.String())
	}
}

// TestOverTheLimitIsTold: by the one who has the limit, with its name, since the other end
// sees a broken connection and no more.
func TestOverTheLimitIsTold(t *testing.T) {
	l := newLab(t)
	var ours, theirs logbook
	srv := l.server(entity.OSD(0), msg.StatefulServer(), l.withLog(&theirs),
		func(c *Config) { c.Limits.Data = 1 << 10 })
	cl := l.client(entity.Client(1), msg.LosslessClient(), l.withLog(&ours))
	c := l.connect(cl, srv)
	require.NoError(t, c.Send(&msg.Message{Type: 1, Data: make([]byte, 2<<10)}))
	cl.want("connect failed", 1)
	l.until("it is told",
		func() bool { return len(ours.lines("a connection does not last", "its log may say why")) == 1 })
	require.Len(t, theirs.lines("a peer sends more than is allowed here", "Data of 2048 bytes, the limit is 1024",
		"Config.Limits"), 1)
}

// TestStrangersAreTold: who connects and speaks something else is named in the log once;
// who only looks whether the port is open is not.
func TestStrangersAreTold(t *testing.T) {
	l := newLab(t)
	var book logbook
	srv := l.server(entity.OSD(0), msg.StatefulServer(), l.withLog(&book))
	dial := func(say string) {
		c, err := net.Dial("tcp", srv.Addrs()[0].AddrPort.String())
		require.NoError(t, err)
		defer c.Close()
		if say != "" {
			io.WriteString(c, say)
			io.Copy(io.Discard, c) // until it hangs up
		}
	}
	for range 3 {
		dial("")
	}
	for range 5 {
		dial("GET / HTTP/1.1\r\n\r\n")
	}
	l.until("counted", func() bool {
		f := srv.Stats().AcceptFailures
		return f[msg.ReasonNotMsgr] == 5 && f[msg.ReasonClosed] == 3
	})
	require.Len(t, book.lines("level=WARN"), 1)
	require.Len(t, book.lines("a peer could not connect", "begins with 'GET / HTTP/1.1'", "a browser, a port scan"), 1)
}

// TestConnectedAfterFailures: when a peer that was away is there at last, that is said
// too.
func TestConnectedAfterFailures(t *testing.T) {
	l := newLab(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	at := netip.MustParseAddrPort(ln.Addr().String())
	ln.Close()
	var book logbook
	cl := l.client(entity.Client(1), msg.LosslessClient(), l.withLog(&book))
	c, err := cl.ConnectTo(entity.TypeOSD, entity.AddrVec{{Type: entity.AddrMsgr2, AnyNonce: true, AddrPort: at}})
	require.NoError(t, err)
	cl.want("connect failed", 4)
	require.NotNil(t, c.LastError())
	srv := l.node(entity.OSD(0), msg.StatefulServer())
	require.NoError(t, srv.Bind(at))
	require.NoError(t, srv.Start())
	cl.want("connect", 1)
	require.Equal(t, msg.StateReady, c.State())
	require.Len(t, book.lines("level=WARN"), 1)
	require.Len(t, book.lines("level=INFO", "connected after failed attempts", "failures="), 1)
	require.Same(t, c, cl.Lookup(srv.Addrs()))
}
