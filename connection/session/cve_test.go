package session

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
	"github.com/asyncmsgr/asyncmsgr/connection/auth/cephx"
	"github.com/asyncmsgr/asyncmsgr/connection/frame"
)

// What was wrong elsewhere, and the test that it is not here. Without a package it is one of
// this package.
//
//	CVE-2018-1128, CVE-2020-25660  authentication can be replayed  TestReplayedHandshake; tlsauth TestReplay
//	CVE-2018-1129   a signature covers a part                TestEveryBitBeforeAuthentication, TestManInTheMiddle,
//	                                                         TestRewrittenSignature
//	CVE-2020-1759   nonces of AES-GCM are used twice         TestCVE2020_1759, TestRekey, TestRekeyBytes;
//	                                                         frame TestGCMNonces, TestOutOfNonces
//	CVE-2021-20288  the number of another can be reclaimed   TestCVE2021_20288, TestStolenSession;
//	                                                         tlsauth TestMonitorsGiveNumbers
//	CVE-2023-44466  a signed length of HELLO or AUTH_*       TestCVE2023_44466; frame TestLengthBomb
//	CVE-2025-30156  tickets that nothing authenticates       cephx TestSeal, TestCVE2025_30156
//	CVE-2025-68284  lengths of session keys                  TestCVE2025_68284; cephx TestTicketInfo
//	CVE-2026-22984  AUTH_DONE is longer than what came       TestCVE2026_22984
//	CVE-2026-43304  a key longer than keys are               TestCVE2025_68284; cephx TestKeyRefused
//	CVE-2026-43405, -43406, -43407  a u32 that becomes an int  TestCVE2026_43405; frame TestControlCountBombs
//	CVE-2026-46024  method 0                                 TestCVE2026_46024
//	CVE-2026-46119  a result that is positive                TestCVE2026_46119
//	CVE-2026-68433  the bound is that of the buffer          TestCVE2026_68433; frame TestControlPayloadLengths
//
//	downgrade: modes, methods                   TestManInTheMiddle, TestTalkedOutOfAMethod,
//	                                            TestModeThatWasNotAskedFor; auth TestDemand;
//	                                            async TestDowngradeIsTold
//	downgrade: msgr v2.0, v1                    TestPermanent; frame TestCheckBanner, TestBannerV1
//	a session is resumed in another mode        TestResumedInAnotherMode
//	a session is taken by its cookies           TestStolenSession, TestOwner, TestProvedOwner
//	another name than was proved                TestProvedNames, TestStolenSession; async TestProvedNameBinds
//	a flood before authentication               TestPreAuthBytes, TestAuthRounds; async TestHandshakesPerHost
//	certificates and secrets end, or change     async TestCertificateExpires, TestCertificateNotYetValid,
//	                                            TestCertificatesRotate, TestRenewalFails;
//	                                            tlsauth TestSecretsRotate
//	comparisons that take time by content       async TestConstantTime; tlsauth TestConstantTime
//	keys in logs                                async TestNoSecretIsPrinted; auth TestResultHidesItsKeys;
//	                                            tlsauth TestNoSecretInATextAtAll; cephx TestKeysAreNotPrinted
//
// Where the origin is lax:
//
//	1. SESSION_RECONNECT of another entity      TestStolenSession
//	   the server's cookie                      TestReconnectNeedsBothCookies, TestArbiterTable
//	2. addresses that CLIENT_IDENT claims       TestStolenSession, TestIdentChecks
//	3. signatures of zeros                      TestRewrittenSignature, TestManInTheMiddle/none; auth TestResultCheck
//	4. memory for what is only declared         TestCVE2023_44466, TestPreAuthBytes; frame TestLengthBomb
//	5. gaps, and msg_seq                        TestGapResetsTheSession, TestReconnectOKMsgSeq, TestArbiterTable
//	6. locks that are juggled                   the session has one owner: TestModel, TestRaces

// TestTableOfCVEs: each test in the table above is there.
func TestTableOfCVEs(t *testing.T) {
	text, err := os.ReadFile("cve_test.go")
	require.NoError(t, err)
	_, table, _ := strings.Cut(string(text), "// What was wrong elsewhere")
	table, _, ok := strings.Cut(table, "\n\n")
	require.True(t, ok)
	var all strings.Builder
	for _, dir := range []string{"async", "connection"} {
		root := filepath.Join("..", "..", dir)
		require.NoError(t, filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, "_test.go") {
				return err
			}
			b, err := os.ReadFile(path)
			all.Write(b)
			return err
		}))
	}
	names := regexp.MustCompile(`Test[A-Z]\w+`).FindAllString(table, -1)
	require.Greater(t, len(names), 40)
	for _, name := range names {
		require.True(t, strings.Contains(all.String(), "func "+name+"("), "%s: rename it in the table, too", name)
	}
}

// preAuth has a lab on either side, in the midst of authentication.
func preAuth(t *testing.T) map[string]*lab {
	return map[string]*lab{
		"acceptor":  acceptor(t, msg.StatefulServer()).drive(StateAuthAccepting),
		"connector": connector(t, msg.LosslessClient()).drive(StateAuthConnecting),
	}
}

// allocated is how many bytes f allocates, about.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// wantRefused says that the session blames the peer, and is not ready.
func (l *lab) wantRefused(what ...any) {
	l.t.Helper()
	require.ErrorIs(l.t, l.lastFault(), ErrProtocol, fmt.Sprint(what...))
	require.Zero(l.t, l.c.ready, fmt.Sprint(what...))
}

// TestCVE2020_1759: a counter that wrapped used nonces twice. Here a connection is made anew
// before that, and each has keys and nonces of its own, in both directions.
func TestCVE2020_1759(t *testing.T) {
	rng := mitmChance(t)
	type sealing struct{ key, nonce string }
	seen := map[sealing]bool{}
	for _, method := range mitmMethods(t, rng) {
		if method.name != "shared key, secure" && method.name != "tls" {
			continue
		}
		w, a, b := pair(t, pairing{client: msg.LosslessClient(), server: msg.StatefulServer()})
		for _, n := range w.nodes {
			method.use(n)
			n.cfg.RekeyUnits = rekeyUnitsMin
			n.client = secretTap{n.client, func(r auth.Result) {
				s := r.ConnectionSecret
				require.NotEqual(t, s[16:28], s[28:40], "either direction has its own")
				for _, nonce := range [][]byte{s[16:28], s[28:40]} {
					require.False(t, seen[sealing{string(s[:16]), string(nonce)}], "used before")
					seen[sealing{string(s[:16]), string(nonce)}] = true
				}
			}}
		}
		c := a.connectTo(b)
		var want []uint64
		for i := range uint64(400) {
			c.send(i, 127, 100)
			want = append(want, i)
			w.runFor(10 * time.Millisecond)
		}
		w.runFor(time.Second)
		require.Equal(t, want, b.got, "nothing is lost by it")
		require.GreaterOrEqual(t, a.rekeys()+b.rekeys(), 5)
		w.endAll()
	}
	require.GreaterOrEqual(t, len(seen), 20)
}

// secretTap sees the results of a client.
type secretTap struct {
	auth.Client
	see func(auth.Result)
}

type secretTapExchange struct {
	auth.ClientExchange
	see func(auth.Result)
}

func (s secretTap) NewExchange(self, peer entity.Type) auth.ClientExchange {
	return secretTapExchange{s.Client.NewExchange(self, peer), s.see}
}
func (x secretTapExchange) Slow() bool   { return auth.IsSlow(x.ClientExchange) }
func (x secretTapExchange) Close() error { return auth.Close(x.ClientExchange) }
func (x secretTapExchange) Done(id uint64, mode uint32, p []byte) (auth.Result, error) {
	r, err := x.ClientExchange.Done(id, mode, p)
	if err == nil {
		x.see(r)
	}
	return r, err
}

// TestCVE2021_20288: a client reclaimed a global id by saying it. Here who proved a name
// with a number says that number, the one that it was given now, or none.
func TestCVE2021_20288(t *testing.T) {
	client5 := entity.AuthName{Type: entity.TypeClient, ID: "5"}
	for num, good := range map[int64]bool{5: true, 77: true, entity.NumNew: true, 6: false, 78: false, 0: false} {
		f := fakeAuth{mode: auth.ModeCRC, peer: client5, proved: true} // and gives the number 77
		l := acceptor(t, msg.StatefulServer(), useFake(f)).drive(StateHelloAccepting)
		want[frame.Hello](l)
		l.say(&frame.Hello{EntityType: entity.TypeClient, PeerAddr: labSelf}, l0(f), &frame.AuthSignature{})
		id := clientIdent(1, 2)
		id.GID = num
		l.say(id)
		require.Equal(t, good, l.s.State() == StateReady, num)
		if !good {
			require.ErrorIs(t, l.lastFault(), ErrWrongName)
		}
	}
}

// TestCVE2023_44466: the length of a segment of HELLO and AUTH_* was taken for a signed
// number, and a negative one passed the bound. Here what is longer than may be is refused
// by its preamble, and nothing is allocated for what is only declared.
func TestCVE2023_44466(t *testing.T) {
	for _, length := range []uint32{frame.LimitPreAuth + 1, math.MaxInt32, math.MaxInt32 + 1, math.MaxUint32 - 3,
		math.MaxUint32} {
		for side := range preAuth(t) {
			for tag := frame.TagHello; tag <= frame.TagAuthSignature; tag++ {
				l := preAuth(t)[side]
				u := unit(l.encode(rawFrame{tag, make([]byte, 64)}))
				binary.LittleEndian.PutUint32(u[2:], length)
				got := allocated(func() { l.bytes(u.repaired()[:frame.PreambleLen]) })
				l.wantRefused(side, tag, length)
				require.Less(t, got, uint64(256<<10), "%s, tag %d, length %d", side, tag, length)
			}
		}
	}
}

// withLength is c whose bl or vector at that offset of the payload says another length.
func withLength(l *lab, c frame.Control, at int, length uint32) []byte {
	p := c.AppendPayload(nil)
	binary.LittleEndian.PutUint32(p[at:], length)
	return l.encode(rawFrame{c.Tag(), p})
}

// lengths that are no good for what follows them, of which there are 16 bytes or fewer.
var badLengths = []uint32{17, 64, 0xffff, 1 << 16, math.MaxInt32 - 3, math.MaxInt32, math.MaxInt32 + 1,
	math.MaxUint32 - 15, math.MaxUint32}

// TestCVE2026_22984: the payload of AUTH_DONE was read up to the length that it said, beyond
// what had come. So is any payload of the authentication.
func TestCVE2026_22984(t *testing.T) {
	p := make([]byte, 16)
	for _, length := range append(badLengths, 15, 0) {
		for _, tc := range []struct {
			side string
			c    frame.Control
			at   int
		}{
			{"connector", &frame.AuthDone{ConMode: 1, Payload: p}, 12},
			{"connector", &frame.AuthReplyMore{Payload: p}, 0},
			{"acceptor", &frame.AuthRequest{Method: 1, Modes: []uint32{1}, Payload: p}, 12},
		} {
			l := preAuth(t)[tc.side]
			l.bytes(withLength(l, tc.c, tc.at, length))
			l.wantRefused(tc.c, length)
		}
		l := acceptor(t, msg.StatefulServer(), useFake(fakeAuth{rounds: 2, mode: auth.ModeCRC}))
		l.drive(StateAuthAcceptingMore)
		l.bytes(withLength(l, &frame.AuthRequestMore{Payload: p}, 0, length))
		l.wantRefused(length)
	}
}

// TestCVE2026_43405: counts of methods and modes were u32 that became an int, were
// multiplied, and passed the bound. (So were -43406 and -43407.)
func TestCVE2026_43405(t *testing.T) {
	four := []uint32{9, 9, 9, 9}
	for _, count := range append(badLengths, 1<<30, 1<<30+4, 1<<31+4, 3<<30+4, 5, 3) {
		for _, tc := range []struct {
			side string
			c    frame.Control
			at   int
		}{
			{"acceptor", &frame.AuthRequest{Method: 1, Modes: four}, 4},
			{"connector", &frame.AuthBadMethod{Method: 1, Methods: four, Modes: four}, 8},
			{"connector", &frame.AuthBadMethod{Method: 1, Methods: four, Modes: four}, 28},
		} {
			l := preAuth(t)[tc.side]
			b := withLength(l, tc.c, tc.at, count)
			got := allocated(func() { l.bytes(b) })
			l.wantRefused(tc.c, count)
			require.Less(t, got, uint64(256<<10), count)
		}
	}
}

// TestCVE2026_46024: a message with protocol 0, before one was agreed on, met a table
// without an entry. Here any method number is an answer or an error.
func TestCVE2026_46024(t *testing.T) {
	for _, method := range []uint32{0, 3, 4, math.MaxInt32, math.MaxInt32 + 1, math.MaxUint32} {
		for name, use := range map[string]nodeOption{
			"none": func(*simNode) {}, "fake": useFake(fakeAuth{mode: auth.ModeCRC}),
			"several": func(n *simNode) {
				m := &auth.Methods{Default: []auth.Method{{Number: auth.MethodNone, Client: n.client, Server: n.server},
					{Number: auth.MethodCephX}}}
				n.client, n.server = m.Client(), m.Server()
			},
			"no method": func(n *simNode) { n.server = (&auth.Methods{}).Server() },
		} {
			l := acceptor(t, msg.StatefulServer(), use).drive(StateAuthAccepting)
			for range 3 {
				l.say(&frame.AuthRequest{Method: method, Modes: []uint32{0, math.MaxUint32}})
			}
			l.say(&frame.AuthRequestMore{Payload: []byte("more")})
			require.Zero(t, l.c.ready, "%s %d", name, method)
			if name == "no method" {
				continue // it does not ask
			}
			l = connector(t, msg.LosslessClient(), use).drive(StateAuthConnecting)
			l.say(&frame.AuthBadMethod{Method: method, Result: -95, Methods: []uint32{method}, Modes: []uint32{method}})
			require.Error(t, l.lastFault(), "%s %d", name, method)
			l = connector(t, msg.LosslessClient(), use).drive(StateAuthConnecting)
			l.say(&frame.AuthReplyMore{}, &frame.AuthDone{ConMode: method})
			require.Error(t, l.lastFault(), "%s %d", name, method)
			require.Zero(t, l.c.ready, "%s %d", name, method)
		}
	}
	// What is out of turn: the answer before the question, and after the end.
	for _, c := range []frame.Control{&frame.AuthDone{ConMode: 1}, &frame.AuthReplyMore{}, &frame.AuthBadMethod{},
		&frame.AuthSignature{}} {
		connector(t, msg.LosslessClient()).drive(StateHelloConnecting).say(c).wantRefused(c)
		acceptor(t, msg.StatefulServer()).drive(StateHelloAccepting).say(c).wantRefused(c)
		acceptor(t, msg.StatefulServer()).drive(StateAuthAccepting).say(c).wantRefused(c)
	}
	acceptor(t, msg.StatefulServer()).drive(StateAuthAccepting).say(&frame.AuthRequestMore{}).wantRefused()
}

// TestCVE2026_46119: a result of AUTH_BAD_METHOD that was not negative was taken for a
// length. Here it is a refusal, whatever number it has.
func TestCVE2026_46119(t *testing.T) {
	for _, result := range []int32{0, 1, 13, 4096, math.MaxInt32, -1, math.MinInt32} {
		l := connector(t, msg.LosslessClient()).drive(StateAuthConnecting)
		l.say(&frame.AuthBadMethod{Method: 1, Result: result, Methods: []uint32{1}, Modes: []uint32{1}})
		var r *auth.RefusedError
		require.ErrorAs(t, l.lastFault(), &r)
		require.Equal(t, result, r.Result)
		require.NotEmpty(t, r.Error())
		require.Equal(t, StateBackoff, l.s.State())
		require.Zero(t, l.c.ready)
	}
}

// TestCVE2026_68433: a decoder's bound was the capacity of its buffer, which had bytes of an
// earlier message in it. Here each control frame that is cut, in memory that goes on with
// what was cut off, is refused; and so is what continues in the bytes that come next.
func TestCVE2026_68433(t *testing.T) {
	l := acceptor(t, msg.StatefulServer())
	for tag := frame.TagHello; tag < 26; tag++ {
		whole := nextUnit(sample(l, tag), false)
		if len(whole) <= frame.PreambleLen {
			continue
		}
		p := whole.payload()
		if _, err := frame.ParseControl(tag, p); err != nil {
			continue // no such frame
		}
		for n := range p {
			_, err := frame.ParseControl(tag, p[:n:len(p)])
			require.ErrorIs(t, err, frame.ErrMalformed, "tag %d, %d of %d bytes", tag, n, len(p))
		}
	}
	// In a session: the rest of the frame comes behind it.
	for n := range 12 {
		l := connector(t, msg.LosslessClient()).drive(StateAuthConnecting)
		p := frame.AuthDone{ConMode: 1}.AppendPayload(nil)
		l.bytes(append(l.encode(rawFrame{frame.TagAuthDone, p[:n]}), p[n:]...))
		l.wantRefused(n)
	}
}

// TestCVE2025_68284: the lengths in a ticket of a session key were used as they came, and
// a key could be longer than its memory (CVE-2026-43304). A key has the length of its type.
func TestCVE2025_68284(t *testing.T) {
	for _, typ := range []cephx.KeyType{cephx.TypeAES, cephx.TypeAES256K} {
		for n := range 70 {
			_, err := cephx.NewKey(typ, make([]byte, n))
			require.Equal(t, n == map[cephx.KeyType]int{cephx.TypeAES: 16, cephx.TypeAES256K: 32}[typ], err == nil, n)
		}
	}
	for _, length := range append(badLengths, 0, 1, 15) {
		for at := range 24 {
			p := make([]byte, 40)
			binary.LittleEndian.PutUint32(p[at:], length)
			got := allocated(func() {
				cephx.ParseTicketInfo(p)
				cephx.ParseServiceTicket(p)
				cephx.ParseLoginReply(p)
				cephx.ParseAuthorizer(p)
			})
			require.Less(t, got, uint64(256<<10), "%d at %d", length, at)
		}
	}
	// The keys of a method that are too short are its mistake: TestKeysThatAreTooShort.
}

// TestCVE2025_30156: tickets were encrypted and not authenticated, so that bits of the
// capabilities in them could be flipped. With the key type that is not the legacy one, no
// bit of what was sealed can be.
func TestCVE2025_30156(t *testing.T) {
	k, err := cephx.NewKey(cephx.TypeAES256K, []byte("a key of thirty-two bytes to use"))
	require.NoError(t, err)
	sealed, err := k.Seal(nil, cephx.UsageAuthorize, []byte("a ticket: allow r, and 40 bytes of a key"), zeros{})
	require.NoError(t, err)
	_, err = k.Open(nil, cephx.UsageAuthorize, sealed)
	require.NoError(t, err)
	for bit := range 8 * len(sealed) {
		sealed[bit/8] ^= 1 << (bit % 8)
		plain, err := k.Open(nil, cephx.UsageAuthorize, sealed)
		require.ErrorIs(t, err, cephx.ErrOpen, "bit %d", bit)
		require.Empty(t, plain)
		sealed[bit/8] ^= 1 << (bit % 8)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// TestResumedInAnotherMode: a session that was made in one mode and is resumed in the other,
// as both sides then agree, goes on with nothing lost; each connection is sealed, or not, as
// it was agreed for that one.
func TestResumedInAnotherMode(t *testing.T) {
	for _, first := range []uint32{auth.ModeCRC, auth.ModeSecure} {
		k := &sharedKey{secret: []byte("a key of the two"), modes: []uint32{first}, rng: mitmChance(t)}
		w, a, b := pair(t, pairing{client: msg.LosslessClient(), server: msg.StatefulServer()})
		for _, n := range w.nodes {
			n.client, n.server = sharedKeyClient{k}, sharedKeyServer{k}
		}
		clear := map[int]bool{} // by wire: messages could be read
		w.alter = func(e *wireEnd, p []byte) []byte {
			if bytes.Contains(p, message(1, 127, 64, 0, 0).Front[32:64]) {
				clear[e.w.n] = true
			}
			return p
		}
		c := a.connectTo(b)
		c.send(1, 127, 64)
		w.runFor(time.Millisecond)
		require.Equal(t, first, c.s.Authenticated().Mode)
		k.modes = []uint32{3 - first}
		w.cut(c.end.w)
		c.send(1+256, 127, 64) // the same bytes
		w.runFor(time.Minute)
		require.Equal(t, 3-first, c.s.Authenticated().Mode)
		require.Equal(t, []uint64{1, 257}, b.got)
		require.Zero(t, c.remote+c.resets)
		require.Equal(t, map[int]bool{int(1 + first - 1): true}, clear, "in crc mode and not in secure mode")
		w.endAll()
	}
}

// TestReconnectNeedsBothCookies: the origin compares the client's cookie only. Here who has
// that one and not the server's is sent back to the beginning, and the session stands.
func TestReconnectNeedsBothCookies(t *testing.T) {
	for _, wrong := range []string{"client", "server", "both", "none"} {
		w, a, b := pair(t, pairing{client: msg.LosslessClient(), server: msg.StatefulServer()})
		c := a.connectTo(b)
		c.send(1, 127, 0)
		w.runFor(time.Millisecond)
		d := b.open()[0]
		n := w.node(1, msg.LosslessClient(), clientOnly) // by the same name and address
		n.up, n.gseq = false, 100
		x := n.newConn()
		x.s = NewConnector(&n.cfg, n, x, nil, nil, Peer{Type: entity.TypeOSD, Addrs: b.vec(), Policy: n.policy})
		x.s.id = identity{clientCookie: c.s.id.clientCookie, serverCookie: c.s.id.serverCookie, connectSeq: 5}
		if wrong == "client" || wrong == "both" {
			x.s.id.clientCookie ^= 1
		}
		if wrong == "server" || wrong == "both" {
			x.s.id.serverCookie ^= 1
		}
		x.s.Start(w.now)
		x.settle()
		for x.s.State() != StateSessionReconnecting {
			w.do(w.moves()[0])
		}
		before := len(b.verdicts)
		for len(b.verdicts) == before {
			w.do(w.moves()[0])
		}
		action := b.verdicts[before]
		if wrong == "none" {
			require.Equal(t, ActReplace, action)
		} else {
			require.Equal(t, ActSendReset, action, wrong)
			require.True(t, d.isReady())
			require.Zero(t, d.resets+d.remote)
		}
		w.endAll()
	}
}
