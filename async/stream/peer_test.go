package stream

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/asynctest"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/stretchr/testify/require"
)

// peer is node 0 of a sim, which has no Mux: the test writes its messages. Node 1 has one.
type peer struct {
	*sim
	conn msg.Connection
	seen int // events of the Recorder that were looked at
}

func newPeer(t *testing.T, opt simOptions) *peer {
	t.Helper()
	opt.bare = func(i int) bool { return i == 0 }
	s := newSim(t, opt)
	return &peer{sim: s, conn: s.Connect(0, 1)}
}

// say sends one message. Numbers are dialled by the peer if they are positive.
func (p *peer) say(typ uint16, id int, front string) { p.sayAs(typ, id, front, 0) }

func (p *peer) sayAs(typ uint16, id int, front string, seq uint16) {
	p.t.Helper()
	m := &msg.Message{Type: typ, TID: uint64(id)<<1 | 1, Front: []byte(front), DataOff: seq, Priority: 150}
	if id < 0 {
		m.TID = uint64(-id) << 1
	}
	require.NoError(p.t, p.conn.Send(m))
}

// text is one line for a message.
func text(typ uint16, tid uint64, front string) string {
	id := int64(tid >> 1)
	if tid&1 != 0 {
		id = -id
	}
	line := fmt.Sprintf("%s %d", name(typ), id)
	if typ == typeData {
		return line + " " + front
	}
	h, err := parse(typ, []byte(front))
	switch {
	case err != nil:
		return line + " " + err.Error()
	case typ == typeOpen:
		return fmt.Sprintf("%s %d %q", line, h.window, h.service)
	case typ == typeAccept || typ == typeWindow:
		return fmt.Sprintf("%s %d", line, h.window)
	case typ == typeClose && h.code >= CodeReserved:
		return strings.TrimSpace(fmt.Sprintf("%s reserved+%d %s", line, h.code-CodeReserved, h.reason))
	case typ == typeClose:
		return strings.TrimSpace(fmt.Sprintf("%s %d %s", line, h.code, h.reason))
	}
	return line
}

// want waits until all has arrived, and compares what the node has said since the last time:
// of its own streams the numbers are negative.
func (p *peer) want(lines ...string) {
	p.t.Helper()
	p.calm()
	require.Equal(p.t, strings.Join(lines, "\n"), strings.Join(p.heard(), "\n"))
}

func (p *peer) heard() (got []string) {
	for _, e := range p.Nodes[0].Events[p.seen:] {
		if e.What == "message" {
			got = append(got, text(e.Type, e.TID, e.Front))
		}
	}
	p.seen = len(p.Nodes[0].Events)
	return got
}

func u32(n uint32) string { return string(binary.LittleEndian.AppendUint32(nil, n)) }

const openPair = "\x0a\x00\x00\x00\x04pair" // a window of 10 bytes

// TestTranscript is all messages of a stream, as bytes.
func TestTranscript(t *testing.T) {
	p := newPeer(t, simOptions{stream: Options{Window: 8, WindowMin: 8}})
	l := p.listen(1, "pair")
	p.say(typeOpen, 5, openPair)
	p.want("ACCEPT 5 8")
	c := accept(l)
	p.sayAs(typeData, 5, "hello", 0)
	p.wantRead(c, "hello")
	p.want("WINDOW 5 5")
	p.sayAs(typeData, 5, "abc", 1)
	p.sayAs(typeData, 5, "defgh", 2)
	p.wantRead(c, "abcdefgh")
	p.want("WINDOW 5 8")
	n, would, err := write(c, []byte("0123456789AB"))
	require.Equal(t, 10, n)
	require.True(t, would, "%v", err)
	p.want("DATA 5 0123456789")
	p.say(typeWindow, 5, u32(10))
	p.calm()
	p.mustWrite(c, []byte("AB"))
	p.want("DATA 5 AB")
	require.NoError(t, c.CloseWrite())
	p.want("FIN 5")
	p.sayAs(typeData, 5, "x", 3)
	p.say(typeFin, 5, "")
	b, err := p.readAll(c)
	require.EqualError(t, err, "EOF")
	require.Equal(t, "x", string(b))
	require.NoError(t, c.Close())
	p.want("CLOSE 5 0")
	p.say(typeClose, 5, u32(0))
	p.want()
	p.wantNothing()
	for _, e := range p.Nodes[0].Events {
		require.True(t, e.What != "message" || e.Priority == 150, "%+v", e) // that of the OPEN
	}
}

// TestPeerCloses: CLOSE is answered at once, and what came before it can be read.
func TestPeerCloses(t *testing.T) {
	p := newPeer(t, simOptions{})
	l := p.listen(1, "pair")
	p.say(typeOpen, 5, openPair)
	p.sayAs(typeData, 5, "last", 0)
	p.say(typeClose, 5, u32(0))
	p.want(fmt.Sprint("ACCEPT 5 ", windowDefault), "CLOSE 5 0")
	c := accept(l)
	require.Zero(t, p.muxes[1].Stats().Streams)
	require.EqualValues(t, windowDefault, p.muxes[1].Stats().Promised, "until it is read")
	_, _, err := write(c, []byte("late"))
	var closed *CloseError
	require.ErrorAs(t, err, &closed)
	require.Equal(t, &CloseError{Remote: true}, closed)
	b, err := p.readAll(c)
	require.EqualError(t, err, "EOF")
	require.Equal(t, "last", string(b))
	p.wantNothing()
	require.NoError(t, c.Close())
	p.want()
}

// TestBreaches: what a peer must not do ends its stream, with a reason for both ends, and
// does no harm to another one.
func TestBreaches(t *testing.T) {
	for _, x := range []struct {
		what string
		do   func(p *peer)
		want string // the reason
	}{
		{"more than the credit", func(p *peer) {
			p.say(typeData, 5, strings.Repeat("x", 65))
		}, "65 bytes, and 64 may come"},
		{"more than the credit, together", func(p *peer) {
			p.sayAs(typeData, 5, strings.Repeat("x", 60), 0)
			p.sayAs(typeData, 5, strings.Repeat("x", 5), 1)
		}, "5 bytes, and 4 may come"},
		{"empty data", func(p *peer) { p.say(typeData, 5, "") }, "DATA of 0"},
		{"data elsewhere", func(p *peer) {
			m := &msg.Message{Type: typeData, TID: 11, Front: []byte("x"), Data: []byte("y"), Priority: 150}
			require.NoError(p.t, p.conn.Send(m))
		}, "DATA of 1, 0 and 1 bytes"},
		{"data after FIN", func(p *peer) { p.say(typeFin, 5, ""); p.say(typeData, 5, "x") }, "DATA after FIN"},
		{"FIN twice", func(p *peer) { p.say(typeFin, 5, ""); p.say(typeFin, 5, "") }, "FIN twice"},
		{"a hole", func(p *peer) {
			p.sayAs(typeData, 5, "x", 0)
			p.sayAs(typeData, 5, "y", 2)
		}, "DATA 2 came in place of 1"},
		{"opened twice", func(p *peer) { p.say(typeOpen, 5, openPair) }, "opened twice"},
		{"ACCEPT", func(p *peer) { p.say(typeAccept, 5, u32(1)) }, "ACCEPT twice"},
		{"too much credit", func(p *peer) { p.say(typeWindow, 5, u32(1)) }, "WINDOW of 1 bytes, with 10 of 10 left"},
		{"credit without end", func(p *peer) { p.say(typeWindow, 5, u32(creditMax)) }, "WINDOW of"},
		{"no credit", func(p *peer) { p.say(typeWindow, 5, u32(0)) }, "WINDOW of 4 bytes, with a window of 0"},
		{"a short WINDOW", func(p *peer) { p.say(typeWindow, 5, "123") }, "WINDOW of 3 bytes, not 4"},
		{"a long FIN", func(p *peer) { p.say(typeFin, 5, "x") }, "FIN of 1 bytes"},
		{"an unknown type", func(p *peer) { p.say(typeClose+1, 5, "") }, "type 0xe016 of 0 bytes, unknown"},
	} {
		t.Run(x.what, func(t *testing.T) {
			p := newPeer(t, simOptions{stream: Options{Window: 64, WindowMin: 64}})
			l := p.listen(1, "pair")
			p.say(typeOpen, 5, openPair)
			p.say(typeOpen, 6, openPair)
			p.want("ACCEPT 5 64", "ACCEPT 6 64")
			c, other := accept(l), accept(l)
			x.do(p)
			p.calm()
			said := p.heard()
			require.Len(t, said, 1)
			require.Contains(t, said[0], "CLOSE 5 reserved+0 ")
			require.Contains(t, said[0], x.want)
			_, err := p.readAll(c)
			require.ErrorIs(t, err, ErrProtocol)
			require.ErrorContains(t, err, x.want)
			_, _, err = write(c, []byte("x"))
			require.ErrorIs(t, err, ErrProtocol)
			require.EqualValues(t, 1, p.muxes[1].Stats().Protocol)

			p.sayAs(typeData, 5, "whatever", 9) // it does not know yet
			p.say(typeClose, 5, u32(0))
			p.sayAs(typeData, 6, "fine", 0)
			p.wantRead(other, "fine")
			require.NoError(t, c.Close())
			require.NoError(t, other.Close())
			p.want("CLOSE 6 0")
			p.say(typeClose, 6, u32(0))
			p.wantNothing()
		})
	}
}

// TestBadClose: a CLOSE that is malformed closes all the same.
func TestBadClose(t *testing.T) {
	for _, front := range []string{"", "123", u32(0) + strings.Repeat("x", ReasonMax+1)} {
		p := newPeer(t, simOptions{})
		l := p.listen(1, "pair")
		p.say(typeOpen, 5, openPair)
		p.say(typeClose, 5, front)
		p.want(fmt.Sprint("ACCEPT 5 ", windowDefault), "CLOSE 5 0")
		require.Nil(t, accept(l), "it was over before")
		require.EqualValues(t, 1, p.muxes[1].Stats().Protocol)
		p.wantNothing()
	}
}

// TestUnknownStreams: a message of a stream that does not exist is answered; a CLOSE is not,
// or two that do not know would go on for ever.
func TestUnknownStreams(t *testing.T) {
	p := newPeer(t, simOptions{})
	for typ := typeAccept; typ <= typeClose+1; typ++ {
		if typ != typeClose {
			p.say(typ, 7, u32(1))
			p.say(typ, -7, u32(1))
			p.want("CLOSE 7 reserved+1", "CLOSE -7 reserved+1")
		}
	}
	p.say(typeClose, 7, u32(1))
	p.say(typeClose, -7, u32(CodeUnknown))
	p.want()
	require.EqualValues(t, 12, p.muxes[1].Stats().Unknown)
	p.wantNothing()
}

// TestUnknownToPeer: a stream that the peer does not know is over, without another word.
func TestUnknownToPeer(t *testing.T) {
	p := newPeer(t, simOptions{})
	l := p.listen(1, "pair")
	p.say(typeOpen, 5, openPair)
	p.want(fmt.Sprint("ACCEPT 5 ", windowDefault))
	c := accept(l)
	p.say(typeClose, 5, u32(CodeUnknown))
	p.wantError(c, ErrUnknownStream)
	p.want()
	p.wantNothing()
}

// TestBadOpen: what cannot be opened is refused; a number of the other end's is not even that.
func TestBadOpen(t *testing.T) {
	p := newPeer(t, simOptions{})
	p.listen(1, "pair")
	p.say(typeOpen, 5, "")
	p.want("CLOSE 5 reserved+0 bad header: OPEN of 0 bytes, at least 5")
	p.say(typeOpen, 5, u32(0)+"\x00")
	p.want("CLOSE 5 reserved+0 bad header: OPEN of 5 bytes, with a window of 0")
	p.say(typeOpen, -5, openPair)
	p.want()
	p.say(typeOpen, 5, "\x01\x00\x00\x00\x05other")
	p.want("CLOSE 5 reserved+2")
	m := &msg.Message{Type: typeOpen, TID: 11, Front: []byte(openPair), Version: 9, Compat: 2}
	require.NoError(t, p.conn.Send(m))
	p.want("CLOSE 5 reserved+7 version 1 is spoken here")
	m = &msg.Message{Type: typeOpen, TID: 11, Front: []byte(openPair), Version: 9, Compat: 1}
	require.NoError(t, p.conn.Send(m))
	p.want(fmt.Sprint("ACCEPT 5 ", windowDefault))
	st := p.muxes[1].Stats()
	require.EqualValues(t, 3, st.Protocol)
	require.EqualValues(t, 4, st.Refused)
	require.EqualValues(t, 1, st.Accepted)
}

// TestDialled is the other end of the protocol: what a peer may answer to OPEN.
func TestDialled(t *testing.T) {
	begin := func(t *testing.T) (p *peer, c *Conn, id int) {
		p = newPeer(t, simOptions{stream: Options{Window: 8, WindowMin: 8}})
		c = p.begin(1, 0, "svc", WithPriority(200))
		id = -int(c.key.id)
		p.want(fmt.Sprintf("OPEN %d 8 \"svc\"", id))
		return p, c, id
	}
	t.Run("ACCEPT", func(t *testing.T) {
		p, c, id := begin(t)
		p.say(typeAccept, id, u32(3))
		require.NoError(t, p.settled(c))
		n, _, _ := write(c, []byte("abcd"))
		require.Equal(t, 3, n)
		p.want(fmt.Sprintf("DATA %d abc", id))
		require.Equal(t, uint8(200), p.Nodes[0].Events[len(p.Nodes[0].Events)-1].Priority)
		p.say(typeAccept, id, u32(3))
		p.want(fmt.Sprintf("CLOSE %d reserved+0 ACCEPT twice", id))
	})
	t.Run("refusal", func(t *testing.T) {
		p, c, id := begin(t)
		p.say(typeClose, id, u32(CodeBacklog)+"later")
		err := p.settled(c)
		require.ErrorIs(t, err, ErrBacklogFull)
		require.Equal(t, &CloseError{Code: CodeBacklog, Reason: "later", Remote: true}, err)
		p.want()
		p.wantNothing()
	})
	for _, x := range []struct {
		typ         uint16
		front, want string
	}{
		{typeData, "x", "DATA before ACCEPT"},
		{typeFin, "", "used before ACCEPT"},
		{typeWindow, u32(1), "used before ACCEPT"},
		{typeAccept, u32(0), "ACCEPT of 4 bytes, with a window of 0"},
	} {
		t.Run(x.want, func(t *testing.T) {
			p, c, id := begin(t)
			p.say(x.typ, id, x.front)
			require.ErrorIs(t, p.settled(c), ErrProtocol)
			p.calm()
			said := p.heard()
			require.Len(t, said, 1)
			require.Contains(t, said[0], x.want)
			p.say(typeClose, id, u32(0))
			p.wantNothing()
		})
	}
	t.Run("given up", func(t *testing.T) { // ACCEPT crosses CLOSE, and the peer's user closes
		p, c, id := begin(t)
		require.NoError(t, c.closeWith(CodeCancelled, ""))
		p.say(typeAccept, id, u32(3))
		p.want(fmt.Sprintf("CLOSE %d reserved+6", id))
		require.Equal(t, 1, p.muxes[1].Stats().Streams)
		p.say(typeClose, id, u32(0))
		p.want()
		p.wantNothing()
	})
}

// TestGivenUpLate: the CLOSE of a dial that was given up waits for room in the send queue, and
// is sent though the peer, who took the stream and has closed it, came first.
func TestGivenUpLate(t *testing.T) {
	p := newPeer(t, simOptions{stream: Options{Window: 8, WindowMin: 8}})
	c := p.begin(1, 0, "svc")
	id := -int(c.key.id)
	p.want(fmt.Sprintf("OPEN %d 8 \"svc\"", id))
	c.late = true // as if there were no room
	require.NoError(t, c.closeWith(CodeCancelled, ""))
	p.say(typeAccept, id, u32(3))
	p.say(typeClose, id, u32(0))
	p.want()
	c.late = false
	c.mu.Lock()
	c.flushLocked()
	c.mu.Unlock()
	p.want(fmt.Sprintf("CLOSE %d reserved+6", id))
	p.wantNothing()
}

// TestFloodOfOpens: refusals that find no room in the send queue wait, up to a bound.
func TestFloodOfOpens(t *testing.T) {
	p := newPeer(t, simOptions{Options: asynctest.Options{Config: func(i int, cfg *async.Config) {
		if i == 1 {
			cfg.SendQueueMessages = 4
		}
	}}})
	p.calm()
	const flood = answersMax + 100
	for id := range flood {
		p.say(typeOpen, id+1, openPair)
	}
	p.Until("the flood", func() bool { return p.muxes[1].Stats().Refused == flood })
	p.Run(20 * answersMax * retryEvery)
	st := p.muxes[1].Stats()
	require.Positive(t, st.AnswersDropped)
	said := p.heard()
	require.EqualValues(t, flood-st.AnswersDropped, len(said))
	require.Equal(t, "CLOSE 1 reserved+2", said[0])
}
