package session

import (
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
	"github.com/asyncmsgr/asyncmsgr/connection/frame"
)

// TestModeThatWasNotAskedFor: AUTH_DONE has one of the modes of the request, on both ends,
// or nothing comes of it.
func TestModeThatWasNotAskedFor(t *testing.T) {
	secure := fakeAuth{key: "secret", mode: auth.ModeSecure}
	for mode, want := range map[uint32]string{
		auth.ModeCRC: "demanded modes [secure]; offered modes [crc]",
		0:            "offered modes [mode 0]", 7: "offered modes [mode 7]",
	} {
		asked := false
		f := secure
		f.during = func(what string) { asked = asked || what == "client Done" }
		l := connector(t, msg.LosslessClient(), useFake(f)).drive(StateAuthConnecting)
		require.Equal(t, []uint32{auth.ModeSecure}, want2[frame.AuthRequest](l).Modes)
		l.say(&frame.AuthDone{ConMode: mode})
		var down *auth.DowngradeError
		require.ErrorAs(t, l.lastFault(), &down)
		require.ErrorIs(t, l.lastFault(), auth.ErrDowngrade)
		require.Equal(t, []uint32{auth.ModeSecure}, down.Modes)
		require.Equal(t, []uint32{mode}, down.OfferedModes)
		require.ErrorContains(t, l.lastFault(), want)
		require.False(t, asked, "the method is not even asked")
		require.Equal(t, msg.ReasonAuth, l.c.failed[0].Reason)
		require.Contains(t, l.c.failed[0].Hint(), "rewriting what it says")
		require.Equal(t, StateBackoff, l.s.State())
	}
	// The server's method answers what it was not asked for: that is this side's mistake.
	for _, slow := range []bool{false, true} {
		f := secure
		f.slow, f.change = slow, func(r *auth.Result) { r.Mode = auth.ModeCRC }
		l := acceptor(t, msg.StatefulServer(), useFake(f)).drive(StateAuthAccepting).say(&frame.AuthRequest{
			Method: 2, Modes: []uint32{auth.ModeSecure}})
		var own *OwnError
		require.ErrorAs(t, l.lastFault(), &own)
		require.ErrorIs(t, l.lastFault(), auth.ErrDowngrade)
		require.NotErrorIs(t, l.lastFault(), ErrProtocol)
		require.Contains(t, msg.AcceptHint(msg.ReasonAuth, l.lastFault()), "Config.AuthServer")
		require.Equal(t, StateClosed, l.s.State())
		l.quiet()
	}
}

// want2 is want that skips HELLO.
func want2[T any](l *lab) *T {
	for {
		if c, ok := l.next().(*T); ok {
			return c
		}
	}
}

// TestKeysThatAreTooShort are the method's mistake, said as such before anything is sent.
func TestKeysThatAreTooShort(t *testing.T) {
	type result = *auth.Result
	const crc, secure = auth.ModeCRC, auth.ModeSecure
	for name, tc := range map[string]struct {
		mode   uint32
		change func(r result)
		says   string // "": it goes well
	}{
		"secret":         {secure, func(r result) { r.ConnectionSecret = r.ConnectionSecret[:39] }, "of 39 bytes"},
		"secret of 40":   {secure, func(r result) { r.ConnectionSecret = r.ConnectionSecret[:40] }, ""},
		"no secret":      {secure, func(r result) { r.ConnectionSecret = nil }, "secret of 0 bytes"},
		"key":            {secure, func(r result) { r.SessionKey = r.SessionKey[:15] }, "session key of 15 bytes"},
		"key in crc":     {crc, func(r result) { r.SessionKey = r.SessionKey[:15] }, "session key of 15 bytes"},
		"no key":         {secure, func(r result) { r.SessionKey = nil }, "no session key in secure mode"},
		"no key in crc":  {crc, func(r result) { r.SessionKey = nil }, ""},
		"no such mode":   {7, func(result) {}, "mode 7, which there is not"},
		"nothing at all": {crc, func(r result) { *r = auth.Result{Mode: r.Mode} }, ""},
	} {
		f := fakeAuth{key: "secret", mode: tc.mode, change: tc.change}
		l := acceptor(t, msg.StatefulServer(), useFake(f)).drive(StateAuthAccepting).say(&frame.AuthRequest{
			Method: 2, Modes: []uint32{tc.mode}})
		if tc.says == "" {
			require.Equal(t, StateAuthAcceptingSign, l.s.State(), name)
			continue
		}
		var own *OwnError
		require.ErrorAs(t, l.lastFault(), &own, name)
		require.ErrorContains(t, l.lastFault(), tc.says, name)
		l.quiet()
	}
	l := connector(t, msg.LosslessClient(), useFake(fakeAuth{key: "k", short: true, mode: auth.ModeSecure}))
	l.drive(StateAuthConnecting).say(&frame.AuthDone{ConMode: auth.ModeSecure})
	require.ErrorContains(t, l.lastFault(), "secret of 39 bytes")
}

// later has the test run the steps of slow exchanges.
func later(n *simNode) { n.later = true }

// TestSlowSteps: each method of a slow exchange is a step that the shell takes, and what
// comes of it is the same.
func TestSlowSteps(t *testing.T) {
	for _, mode := range []uint32{auth.ModeCRC, auth.ModeSecure} {
		var order [2][]string
		for i, slow := range []bool{false, true} {
			w, closed := &world{t: t}, 0
			f := fakeAuth{key: "secret", mode: mode, rounds: 2, refusals: 1, slow: slow, closed: &closed}
			f.during = func(what string) { order[i] = append(order[i], what) }
			a, b := w.node(1, msg.LosslessClient(), useFake(f), clientOnly), w.node(2, msg.StatefulServer(), useFake(f))
			c := a.connectTo(b)
			c.send(1, 127, 100)
			w.runFor(time.Second)
			require.Equal(t, []uint64{1}, b.got)
			w.cut(w.wires[0])
			c.send(2, 127, 100)
			w.runFor(time.Minute)
			require.Equal(t, []uint64{1, 2}, b.got)
			require.Equal(t, 5, closed, "two of the client, two of the server, and the one that refused")
			require.Equal(t, mode, c.s.Authenticated().Mode)
		}
		require.Equal(t, order[0], order[1])
	}
}

// TestSlowStep: what a session does while a step runs, and after.
func TestSlowStep(t *testing.T) {
	var what []string
	closed := 0
	f := fakeAuth{key: "secret", mode: auth.ModeCRC, slow: true, closed: &closed,
		during: func(w string) { what = append(what, w) }}
	l := acceptor(t, msg.StatefulServer(), useFake(f), later).drive(StateAuthAccepting).say(l0(f))
	step := l.s.AuthStep()
	require.NotNil(t, step)
	require.True(t, l.s.Paused())
	require.Empty(t, what, "nobody has run it")
	require.Zero(t, l.s.HandleBytes(l.w.now, []byte("more than enough")), "no byte is taken meanwhile")
	l.s.HandleStep(l.w.now) // too early
	require.True(t, l.s.Paused())
	require.True(t, step.Run())
	require.False(t, step.Run(), "once")
	require.Equal(t, []string{"server Request"}, what)
	l.quiet()
	l.s.HandleStep(l.w.now)
	l.settle()
	require.False(t, l.s.Paused())
	want[frame.AuthDone](l)
	require.Equal(t, StateAuthAcceptingSign, l.s.State())
	require.Nil(t, l.s.AuthStep())
	l.s.HandleStep(l.w.now) // too late
	require.Zero(t, closed)
	l.fault()
	require.Equal(t, 1, closed)
}

func l0(f fakeAuth) *frame.AuthRequest {
	return &frame.AuthRequest{Method: 2, Modes: []uint32{f.mode}, Payload: []byte("let me in")}
}

// TestEndDuringStep: whatever ends a connection while a step waits, runs, or has returned,
// the exchange is closed once, after the method has returned, and its answer is dropped.
func TestEndDuringStep(t *testing.T) {
	for how, end := range map[string]func(l *lab){
		"fault":     func(l *lab) { l.s.HandleTransportDown(l.w.now, errCut) },
		"mark down": func(l *lab) { l.c.marked = true; l.s.MarkDown(msg.ErrMarkedDown) },
		"timeout":   func(l *lab) { l.pass(10 * time.Second) },
		"broken":    func(l *lab) { l.s.Break(l.w.now, errCut) },
		"refused":   func(l *lab) { l.s.RefuseStep(l.w.now, errCut) },
	} {
		for _, when := range []string{"before", "during", "after"} {
			for side, make := range map[string]func(f fakeAuth) *lab{
				"acceptor": func(f fakeAuth) *lab {
					return acceptor(t, msg.StatefulServer(), useFake(f), later).drive(StateAuthAccepting).say(l0(f))
				},
				"connector": func(f fakeAuth) *lab {
					return connector(t, msg.LosslessClient(), useFake(f), later).drive(StateAuthConnecting)
				},
			} {
				name := how + " " + when + " " + side
				closed := 0
				var l *lab
				ended := false
				f := fakeAuth{key: "k", mode: auth.ModeCRC, slow: true, closed: &closed}
				f.during = func(what string) {
					if what == "Close" || when != "during" {
						return
					}
					end(l)
					ended = true
					require.Zero(t, closed, "%s: closed while the method runs", name)
				}
				l = make(f)
				step := l.s.AuthStep()
				require.NotNil(t, step, name)
				switch when {
				case "before":
					end(l)
					require.Equal(t, 1, closed, name)
					require.False(t, step.Run(), name)
				case "during":
					require.False(t, step.Run(), name)
					require.True(t, ended)
				case "after":
					require.True(t, step.Run(), name)
					end(l)
				}
				l.c.settle()
				l.s.HandleStep(l.w.now)
				require.Equal(t, 1, closed, name)
				require.Nil(t, l.s.AuthStep())
				require.NoError(t, l.s.invariants())
				require.NotEqual(t, StateAuthConnecting, l.s.State(), name)
				require.False(t, l.s.State().accepting(), name)
			}
		}
	}
}

// TestStepThatNeverReturns: the deadline is the handshake's, counted from the connect.
func TestStepThatNeverReturns(t *testing.T) {
	f := fakeAuth{key: "k", mode: auth.ModeCRC, slow: true}
	l := acceptor(t, msg.StatefulServer(), useFake(f), later).drive(StateBannerAccepting).pass(4 * time.Second)
	l.drive(StateAuthAccepting).pass(4 * time.Second).say(l0(f))
	at, ok := l.s.Deadline()
	require.True(t, ok)
	require.Equal(t, 10*time.Second, at)
	l.pass(1999 * time.Millisecond)
	require.Empty(t, l.c.faults)
	l.pass(time.Millisecond)
	require.ErrorIs(t, l.lastFault(), ErrReadyTimeout)
	require.Equal(t, StateClosed, l.s.State())
}

// TestStepKeepsItsPayload: what a method was given is there until it returns, though the
// session reads from another transport by now.
func TestStepKeepsItsPayload(t *testing.T) {
	var l *lab
	var got string
	f := fakeAuth{key: "k", mode: auth.ModeCRC, slow: true}
	f.during = func(what string) {
		if what == "client More" {
			l.fault()
			l.up().banner()
			l.say(&frame.Hello{EntityType: entity.TypeOSD, PeerAddr: labSelf})
			l.c.runStep(l.s.AuthStep())
			l.say(&frame.AuthReplyMore{Payload: []byte("the second one")})
		}
	}
	f.got = func(p []byte) { got = string(p) }
	l = connector(t, msg.LosslessClient(), useFake(f), later).drive(StateAuthConnecting)
	l.c.runStep(l.s.AuthStep())
	l.say(&frame.AuthReplyMore{Payload: []byte("the first one!")})
	require.False(t, l.s.AuthStep().Run(), "it is not waited for any more")
	require.Equal(t, "the first one!", got)
}

// TestDeadlineIsAbsolute: rounds of authentication do not move it.
func TestDeadlineIsAbsolute(t *testing.T) {
	f := fakeAuth{key: "k", mode: auth.ModeCRC, rounds: 7}
	l := acceptor(t, msg.StatefulServer(), useFake(f)).drive(StateAuthAcceptingMore)
	for range 4 {
		l.pass(2 * time.Second).say(&frame.AuthRequestMore{})
		require.Empty(t, l.c.faults)
	}
	l.pass(2 * time.Second)
	require.ErrorIs(t, l.lastFault(), ErrReadyTimeout)
}

// TestStepThatDoesNotReturn: a method that panics or ends its goroutine is an error of this
// side's, and the connection's end.
func TestStepThatDoesNotReturn(t *testing.T) {
	for _, end := range []func(){func() { panic("planned") }, runtime.Goexit} {
		closed := 0
		f := fakeAuth{key: "k", mode: auth.ModeCRC, slow: true, closed: &closed, during: func(what string) {
			if what != "Close" {
				end()
			}
		}}
		l := acceptor(t, msg.StatefulServer(), useFake(f), later).drive(StateAuthAccepting).say(l0(f))
		step, done := l.s.AuthStep(), make(chan struct{})
		go func() {
			defer close(done)
			defer func() { _ = recover() }()
			step.Run()
		}()
		<-done
		require.True(t, step.Due())
		l.s.HandleStep(l.w.now)
		l.settle()
		var own *OwnError
		require.ErrorAs(t, l.lastFault(), &own)
		require.ErrorIs(t, l.lastFault(), errNoReturn)
		require.Equal(t, StateClosed, l.s.State())
		require.Equal(t, 1, closed)
	}
}

// TestNobodyRunsTheStep: the connection is given up, with the reason.
func TestNobodyRunsTheStep(t *testing.T) {
	f := fakeAuth{key: "k", mode: auth.ModeCRC, slow: true}
	l := connector(t, msg.LosslessClient(), useFake(f), later).drive(StateAuthConnecting)
	l.s.RefuseStep(l.w.now, errors.New("pool is full"))
	l.c.settle()
	require.ErrorIs(t, l.lastFault(), ErrBusy)
	require.ErrorContains(t, l.lastFault(), "pool is full")
	require.Equal(t, msg.ReasonFull, l.c.failed[0].Reason)
	require.Equal(t, StateBackoff, l.s.State())
	l.s.RefuseStep(l.w.now, errCut) // nothing waits
	require.Equal(t, StateBackoff, l.s.State())
}

// TestNotYet: what is missing may come any moment, and is waited for without a failure,
// but not for ever.
func TestNotYet(t *testing.T) {
	missing := true
	l := connector(t, msg.LosslessClient(), func(n *simNode) { n.client = notYet{n.client, &missing} })
	try := func() time.Duration {
		l.up().banner()
		l.say(&frame.Hello{EntityType: entity.TypeOSD, PeerAddr: labSelf})
		require.ErrorIs(t, l.lastFault(), auth.ErrNotYet)
		require.Equal(t, StateBackoff, l.s.State())
		at, ok := l.s.Deadline()
		require.True(t, ok)
		wait := at - l.w.now
		l.w.now = at
		l.s.HandleTimeout(at)
		l.c.settle()
		require.Equal(t, StateConnecting, l.s.State())
		return wait
	}
	for range notYetMax {
		d := try()
		require.True(t, d >= notYetDelay/2 && d <= notYetDelay, d)
	}
	require.Empty(t, l.c.failed)
	try()
	require.Greater(t, try(), notYetDelay, "it is a failure by now")
	require.Len(t, l.c.failed, 2)
	require.Equal(t, msg.ReasonAuth, l.c.failed[0].Reason)
	missing = false
	l.drive(StateReady)
	missing = true
	l.s.HandleTransportDown(l.w.now, errCut)
	l.c.settle()
	require.LessOrEqual(t, try(), notYetDelay, "counted anew")
}

// notYet is a client that lacks something.
type notYet struct {
	auth.Client
	missing *bool
}

func (n notYet) NewExchange(self, peer entity.Type) auth.ClientExchange {
	return notYetExchange{n.Client.NewExchange(self, peer), n.missing}
}

type notYetExchange struct {
	auth.ClientExchange
	missing *bool
}

func (n notYetExchange) Request() (auth.Request, error) {
	if *n.missing {
		return auth.Request{}, auth.ErrNotYet
	}
	return n.ClientExchange.Request()
}

func osd(id string) entity.AuthName { return entity.AuthName{Type: entity.TypeOSD, ID: id} }

// TestProvedNames: who proved a name bears that one.
func TestProvedNames(t *testing.T) {
	for _, tc := range []struct {
		peer   entity.AuthName
		proved bool
		good   bool
	}{
		{osd("9"), true, true},
		{osd("8"), true, false},
		{osd("8"), false, true},
		{entity.AuthName{Type: entity.TypeMDS, ID: "9"}, true, false},
		{entity.AuthName{Type: entity.TypeClient, ID: "admin"}, true, false},
	} {
		f := fakeAuth{mode: auth.ModeCRC, peer: tc.peer, proved: tc.proved}
		l := acceptor(t, msg.StatefulServer(), useFake(f)).drive(StateAuthAccepting).say(l0(f))
		if l.s.State() != StateClosed {
			l.say(&frame.AuthSignature{}, clientIdent(1, 2))
		}
		if tc.good {
			require.Equal(t, StateReady, l.s.State(), tc.peer)
			require.Equal(t, entity.Authenticated{Name: tc.peer, Proved: tc.proved, Method: 2, Mode: auth.ModeCRC},
				*l.s.Authenticated())
			require.Equal(t, uint64(77), l.s.GlobalID())
			continue
		}
		var wrong *WrongNameError
		require.ErrorAs(t, l.lastFault(), &wrong, tc.peer)
		require.ErrorIs(t, l.lastFault(), ErrWrongName)
		require.Equal(t, tc.peer, wrong.Proved)
		require.Equal(t, entity.TypeOSD, wrong.Said.Type)
		require.Equal(t, msg.ReasonAuth, ReasonOf(l.lastFault()))
		require.Contains(t, msg.AcceptHint(msg.ReasonAuth, l.lastFault()), "Config.Name")
		require.Equal(t, StateClosed, l.s.State())
	}
}

// provingClient proves to the client who the server is.
type provingClient struct {
	fakeClient
	who *entity.AuthName
}

func (p provingClient) NewExchange(_, _ entity.Type) auth.ClientExchange { return p }
func (p provingClient) Done(id uint64, mode uint32, b []byte) (auth.Result, error) {
	r, err := p.fakeClient.Done(id, mode, b)
	r.Peer, r.Proved = *p.who, true
	return r, err
}

// TestProvedServer: so does a server that proves who it is; and another one gets nothing
// of a session that was the first one's.
func TestProvedServer(t *testing.T) {
	who := osd("9")
	f := fakeAuth{mode: auth.ModeCRC}
	proving := func(n *simNode) { n.client = provingClient{fakeClient{&f}, &who} }
	l := readyConnector(t, msg.LosslessClient(), proving)
	require.Equal(t, who, l.s.Authenticated().Name)
	require.Zero(t, l.s.GlobalID(), "a server has none")
	l.send(1, 127)
	l.fault().drive(StateSessionReconnecting)
	require.Zero(t, l.c.remote)

	who = osd("8")
	l.fault().drive(StateSessionConnecting)
	require.Equal(t, 1, l.c.remote, "the session is not continued with somebody else")
	require.Zero(t, l.s.Pending()+l.s.Unacked())
	want2[frame.ClientIdent](l)
	l.say(serverIdent(0, 7))
	require.ErrorIs(t, l.lastFault(), ErrWrongName, "nor a new one made with who says that it is the first")

	who = entity.AuthName{Type: entity.TypeMDS, ID: "9"}
	l = connector(t, msg.LosslessClient(), proving).drive(StateAuthConnecting).say(&frame.AuthDone{ConMode: 1})
	require.ErrorIs(t, l.lastFault(), ErrWrongName)
}

// TestProvedOwner: a session whose owner was proved is not given to who only says the name.
func TestProvedOwner(t *testing.T) {
	in := Incoming{PeerType: entity.TypeOSD, Auth: osd("9"), GlobalSeq: 5, ClientCookie: 1,
		Addrs: entity.AddrVec{labPeer}}
	ex := Existing{State: StateStandby, PeerType: entity.TypeOSD, Auth: osd("9"), Proved: true, ClientCookie: 1}
	require.ErrorIs(t, Arbitrate(in, &ex, false).Err, ErrNotOwner)
	in.Proved = true
	require.NoError(t, Arbitrate(in, &ex, false).Err)
	ex.Proved = false
	require.NoError(t, Arbitrate(in, &ex, false).Err)
}

// TestAuthorize: who may come in is decided with all that the method knows, once; the peer
// hears a number, and the operator why.
func TestAuthorize(t *testing.T) {
	expires := time.Unix(1e9, 0)
	full := errors.New("no more OSDs today")
	for _, slow := range []bool{false, true} {
		var asked []auth.Peer
		answer := full
		f := fakeAuth{key: "k", mode: auth.ModeCRC, peer: osd("9"), proved: true, slow: slow, rounds: 1,
			change: func(r *auth.Result) { r.Capabilities, r.Expires, r.Proof = []byte("allow *"), expires, 42 }}
		l := acceptor(t, msg.StatefulServer(), useFake(f), func(n *simNode) {
			n.later = slow
			n.cfg.Authorize = func(p auth.Peer, isSlow bool) error {
				require.Equal(t, slow, isSlow)
				asked = append(asked, p)
				return answer
			}
		}).drive(StateAuthAccepting)
		step := func() {
			if slow {
				l.c.runStep(l.s.AuthStep())
				l.settle()
			}
		}
		l.say(l0(f))
		step()
		require.Empty(t, asked, "it has not authenticated yet")
		want2[frame.AuthReplyMore](l)
		l.say(&frame.AuthRequestMore{})
		require.Equal(t, slow, len(asked) == 0, "with the step")
		step()
		require.Equal(t, &frame.AuthBadMethod{Method: 2, Result: -13, Methods: []uint32{2}, Modes: []uint32{1}},
			want[frame.AuthBadMethod](l))
		require.Equal(t, []auth.Peer{{Type: entity.TypeOSD, Addr: labPeer.AddrPort, Authenticated: entity.Authenticated{
			Name: osd("9"), Proved: true, Method: 2, Mode: auth.ModeCRC,
			Capabilities: []byte("allow *"), Expires: expires, Proof: 42}}}, asked)
		require.Len(t, l.c.refused, 1)
		require.ErrorIs(t, l.c.refused[0], full)
		require.ErrorIs(t, l.c.refused[0], auth.ErrRefused)
		require.EqualError(t, l.c.refused[0], "auth: osd.9 is not authorized: no more OSDs today")
		require.Nil(t, l.s.Authenticated())

		answer = nil // it may try again
		l.say(l0(f))
		step()
		l.say(&frame.AuthRequestMore{})
		step()
		require.Equal(t, StateAuthAcceptingSign, l.s.State())
		require.Len(t, asked, 2)
		require.Nil(t, l.s.Authenticated(), "it has not signed yet")
	}
}
