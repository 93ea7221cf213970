//go:build linux

package interop

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/mon"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
)

var failingMessages = flag.Int("messages", 1000,
	"how many questions TestCephxWithAFailingMon asks, in each mode and at each rate of failures")

// TestCephxWithAFailingMon: a monitor with cephx cuts one of 500, and one of 50, of its own
// socket operations, in either mode. A lossless peer, which is a monitor too, and a client ask it
// at the same time, nine tenths and one: every question is answered once.
func TestCephxWithAFailingMon(t *testing.T) {
	for name, mode := range map[string]uint32{"crc": auth.ModeCRC, "secure": auth.ModeSecure} {
		for _, one := range []int{500, 50} {
			t.Run(fmt.Sprintf("%s, one of %d", name, one), func(t *testing.T) {
				t.Parallel()
				o := Cephx(t, name)
				o.Global += fmt.Sprintf("ms inject socket failures = %d\n", one)
				real := StartMon(t, o)
				commands := *failingMessages / 10
				t.Run("lossless peer", func(t *testing.T) {
					t.Parallel()
					losslessThroughFailures(t, real, mode, *failingMessages-commands, one)
				})
				t.Run("client", func(t *testing.T) {
					t.Parallel()
					commandsThroughFailures(t, real, mode, commands)
				})
			})
		}
	}
}

// losslessThroughFailures asks as a monitor does: the session survives its connections, so each
// question is answered once, in order.
func losslessThroughFailures(t *testing.T, real *Mon, mode uint32, questions, one int) {
	const block = 32 // two of them are out at a time
	began, box := time.Now(), newInbox()
	x := cephxClient(t, entity.AuthName{Type: entity.TypeMon, ID: "g"}, CephxKeyring(t))
	m := newMessenger(t, async.Config{Name: entity.Mon(7), AuthClient: x}, msg.LosslessClient())
	m.AddDispatcherTail(box)
	require.NoError(t, m.Start())
	conn, err := m.ConnectTo(entity.TypeMon, peerOf(real.Addr))
	require.NoError(t, err)
	var monmap []byte
	for asked, i := 0, 0; i < questions; i += block {
		for ; asked < min(i+2*block, questions); asked++ {
			ask(t, conn, asked)
		}
		got := answers(t, box, i, min(i+block, questions))
		if monmap == nil {
			monmap = got
		}
		require.Equal(t, monmap, got)
		for len(box.connects) > 0 { // it holds so many
			<-box.connects
		}
	}
	require.Equal(t, entity.Authenticated{Method: auth.MethodCephX, Mode: mode}, conn.Authenticated())
	require.Empty(t, box.resets)
	require.Empty(t, box.lost)
	s := m.Stats()
	t.Logf("%d questions in %.1f s: %d connections, %d messages sent again", questions, time.Since(began).Seconds(),
		s.Connected, s.Replayed)
	require.GreaterOrEqual(t, s.Connected, uint64(questions/(4*one)), "the monitor did not fail")
}

// commandsThroughFailures runs commands as a client does: its sessions end with their
// connections, and it logs in anew and asks again. The caller of each command hears one answer,
// its own.
//
// Many are wanted at a time. A monitor reads what it is sent faster than it answers, and at one of 50
// it has cut the connection before it has answered any of many: so the client asks few again.
func commandsThroughFailures(t *testing.T, real *Mon, mode uint32, questions int) {
	const outMax = 64
	began := time.Now()
	c := openMonWith(t, mon.Config{PauseMin: time.Millisecond, PauseMax: time.Millisecond}, CephxKeyring(t),
		func(l *mon.Login) { l.Modes = []uint32{mode} }, real.Addr)
	type end struct {
		i   int
		err error
	}
	ends := make(chan end, 2*outMax) // more than are out: what comes twice is seen
	begin := func(i int) {
		command := fmt.Sprintf(`{"prefix":"config-key exists","key":"no.%d"}`, i)
		require.NoError(t, c.Go(command, nil, func(_ mon.Answer, err error) { ends <- end{i, err} }))
	}
	for i := range min(outMax, questions) {
		begin(i)
	}
	deadline := time.After(patience + time.Duration(questions)*20*time.Millisecond)
	answered := make([]bool, questions)
	for n := range questions {
		var e end
		select {
		case e = <-ends:
		case <-deadline:
			require.FailNow(t, "answers are missing", "%d of %d came; %v", n, questions, c.Messenger().Stats())
		}
		var refused *mon.CommandError
		require.True(t, errors.As(e.err, &refused), "command %d: %v", e.i, e.err)
		require.ErrorIs(t, e.err, fs.ErrNotExist)
		require.Contains(t, refused.Status, fmt.Sprintf("'no.%d'", e.i), "the answer to another command")
		require.False(t, answered[e.i], "command %d is answered twice", e.i)
		answered[e.i] = true
		if n+outMax < questions {
			begin(n + outMax)
		}
	}
	s := c.Messenger().Stats()
	t.Logf("%d commands in %.1f s: %d sessions, %d messages", questions, time.Since(began).Seconds(),
		s.Connected, s.Sent)
	require.Empty(t, ends)
	require.NoError(t, c.Close())
	require.Empty(t, ends)
}
