package connection

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/session"
)

// TestNextAttempt: what the log says of the next attempt.
func TestNextAttempt(t *testing.T) {
	for want, x := range map[string]struct {
		state session.State
		retry time.Duration
	}{
		`"next attempt in"=0s`:                             {session.StateBackoff, 0},
		`"next attempt in"=15ms`:                           {session.StateBackoff, 15*time.Millisecond + 1},
		`"next attempt"=none`:                              {session.StateClosed, -1},
		`"next attempt"="when there is something to send"`: {session.StateStandby, -1},
	} {
		var book bytes.Buffer
		var f FailureLog
		f.Init(slog.New(slog.NewTextHandler(&book, nil)), 10*time.Second)
		conn, _, _ := newTestConn(t, msg.LosslessClient(), 1)
		conn.Seen.SetState(x.state)
		f.ConnectFailed(0, conn, &msg.ConnectError{Reason: msg.ReasonRefused, Attempt: 1, Err: io.EOF, Retry: x.retry})
		require.Contains(t, book.String(), want)
		require.Equal(t, 1, strings.Count(book.String(), "next attempt"), "%s", book.String())
	}
}

// TestFailureLog steps the log's time by hand.
func TestFailureLog(t *testing.T) {
	var book bytes.Buffer
	lines := func(words ...string) (n int) {
		for l := range strings.Lines(book.String()) {
			if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(l, w) }) {
				n++
			}
		}
		return n
	}
	var f FailureLog
	f.Init(slog.New(slog.NewTextHandler(&book, nil)), 10*time.Second)
	conn, _, _ := newTestConn(t, msg.LosslessClient(), 1)
	fail := func(at time.Duration, r msg.Reason) int {
		f.ConnectFailed(at, conn, &msg.ConnectError{Reason: r, Attempt: 1, State: "X", Err: io.EOF})
		return lines("cannot connect")
	}
	require.Equal(t, 1, fail(0, msg.ReasonRefused))
	for s := 1; s < 60; s++ {
		require.Equal(t, 1, fail(time.Duration(s)*time.Second, msg.ReasonRefused), "at most once a minute")
	}
	require.Equal(t, 2, fail(60*time.Second, msg.ReasonRefused))
	require.Equal(t, 1, lines(`"failures since the last line"=60`, "for=1m0s"))
	require.Equal(t, 3, fail(61*time.Second, msg.ReasonTimeout), "another reason is news")
	require.Equal(t, 3, fail(61*time.Second, msg.ReasonRefused), "and the first one again is none")
	require.Equal(t, 3, fail(61*time.Second, msg.ReasonTimeout), "nor are the two in turns")
	f.Connected(62*time.Second, conn)
	f.Connected(62*time.Second, conn)
	require.Equal(t, 1, lines("connected after", "failures=64"))
	require.Equal(t, 3, fail(63*time.Second, msg.ReasonTimeout), "broken at once: the same story")
	f.Connected(64*time.Second, conn)
	require.Equal(t, 1, lines("connected after"))
	require.Equal(t, 4, fail(80*time.Second, msg.ReasonTimeout), "it was well for a while: a new one")
	f.Gone(conn)
	require.Empty(t, f.series)

	// Strangers, by host and reason.
	strangers := func(at time.Duration, host string, port int) int {
		from := netip.AddrPortFrom(netip.MustParseAddr(host), uint16(port))
		f.AcceptFailed(at, "a peer could not connect", from, msg.ReasonNotMsgr, io.EOF)
		return lines("a peer could not connect")
	}
	for i := range 50 {
		require.Equal(t, 1, strangers(200*time.Second, "10.0.0.1", 1000+i))
	}
	require.Equal(t, 2, strangers(200*time.Second, "10.0.0.2", 1))
	require.Equal(t, 3, strangers(260*time.Second, "10.0.0.1", 1))
	require.Equal(t, 1, lines(`"of this kind since the last line"=50`))

	// From everywhere at once: so many lines a minute, so much memory, and the rest is
	// counted.
	had := lines("a peer could not connect")
	for i := range 5000 {
		strangers(1000*time.Second, fmt.Sprintf("10.1.%d.%d", i/256, i%256), 1)
	}
	require.Equal(t, had+linesMax, lines("a peer could not connect"))
	require.LessOrEqual(t, len(f.series), seriesMax)
	strangers(1100*time.Second, "10.2.0.1", 1)
	require.Equal(t, 1, lines(fmt.Sprintf(`"lines left out before this one"=%d`, 5000-linesMax)))
	require.LessOrEqual(t, len(f.series), seriesMax)
	require.False(t, strings.Contains(book.String(), "!BADKEY"))
}
