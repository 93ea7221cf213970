//go:build !js

package top

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/stretchr/testify/require"
)

// watched is a model that is 80 by 24, with what was answered one second after the other.
func watched(t *testing.T, samples ...*Sample) *model {
	t.Helper()
	m := newModel(Options{Path: "/run/x.asok", Interval: time.Second, Order: ByReceived}, nil)
	m.now = func() time.Time { return began }
	m.Update(tea.WindowSizeMsg{Width: 80, Height: 24})
	for _, s := range samples {
		m.Update(answered{at: began, sample: s})
	}
	return m
}

// seen is the screen, which has to fit.
func seen(t *testing.T, m *model) string {
	t.Helper()
	text := m.View().Content
	lines := strings.Split(text, "\n")
	if m.screen.height > 0 {
		require.Len(t, lines, m.screen.height)
	}
	for _, l := range lines {
		require.LessOrEqual(t, len([]rune(l)), m.screen.width, "%q", l)
	}
	return text
}

// press presses keys, named as bubbletea names them, or letters.
func press(m *model, names ...string) (quit bool) {
	special := map[string]rune{"enter": tea.KeyEnter, "esc": tea.KeyEscape, "backspace": tea.KeyBackspace,
		"down": tea.KeyDown, "up": tea.KeyUp, "pgdown": tea.KeyPgDown, "pgup": tea.KeyPgUp, "home": tea.KeyHome,
		"end": tea.KeyEnd}
	for _, n := range names {
		k := tea.KeyPressMsg{Code: []rune(n)[0], Text: n}
		if code, ok := special[n]; ok {
			k = tea.KeyPressMsg{Code: code}
		} else if n == "ctrl+c" {
			k = tea.KeyPressMsg{Code: 'c', Mod: tea.ModCtrl}
		}
		_, cmd := m.Update(k)
		quit = quit || cmd != nil
	}
	return quit
}

func many(n int, received uint64) (all []Connection) {
	for i := range n {
		all = append(all, conn(uint64(i), fmt.Sprintf("client.%03d", i), uint64(i)*received, 0))
	}
	return all
}

func TestScreen(t *testing.T) {
	m := watched(t)
	require.Contains(t, seen(t, m), "waiting for the first answer")
	m = watched(t, sampleAt(0, many(3, 1)...), sampleAt(1, many(3, 50)...))
	text := seen(t, m)
	lines := strings.Split(text, "\n")
	require.Equal(t, "msgr top /run/x.asok, every 1s, by received", lines[0])
	require.Equal(t, "osd.0: 3 conns, 0 new, 0 away; dispatch 0 (-), 0 stuck, 0/0; out 0", lines[1])
	require.Equal(t, "PEER        ADDRESS               STATE     RECV/S SENT/S  QUEUE STALL FAULTS", lines[2])
	require.Equal(t, "client.002  10.0.0.1:6800         connected     98      0      0     -      0", lines[3])
	require.Contains(t, lines[4], "client.001")
	require.Equal(t, keysHelp, lines[23])
}

func TestScreenKeys(t *testing.T) {
	m := watched(t, sampleAt(0), sampleAt(1, many(100, 1)...))
	row := func(n int) string { return strings.Split(seen(t, m), "\n")[3+n] }
	require.Contains(t, row(0), "client.099")
	require.Contains(t, seen(t, m), "1 to 20 of 100")
	press(m, "r")
	require.Contains(t, row(0), "client.000", "backwards")
	press(m, "r", "p")
	require.Contains(t, seen(t, m), "by peer")
	require.Contains(t, row(0), "client.000")
	press(m, "down", "j")
	require.Contains(t, row(0), "client.002")
	press(m, "pgdown")
	require.Contains(t, row(0), "client.022")
	press(m, "end")
	require.Contains(t, row(19), "client.099")
	require.Contains(t, seen(t, m), "81 to 100 of 100")
	press(m, "pgdown", "down")
	require.Contains(t, row(19), "client.099")
	press(m, "pgup", "up")
	require.Contains(t, row(0), "client.059")
	press(m, "home", "up")
	require.Contains(t, row(0), "client.000")

	press(m, "/", "0", "7", "x", "backspace")
	require.Contains(t, seen(t, m), "filter: 07_")
	require.Contains(t, row(0), "client.007", "while it is typed")
	press(m, "enter", "end")
	require.Contains(t, seen(t, m), "client.079")
	press(m, "/", "z")
	require.NotContains(t, seen(t, m), "osd.0: ", "none of its connections is shown")
	press(m, "backspace")
	press(m, "/", "z")
	require.Contains(t, seen(t, m), "no connection has that")
	press(m, "esc")
	require.NotContains(t, seen(t, m), "filter:")

	press(m, "?")
	require.Contains(t, seen(t, m), "docs/TROUBLESHOOTING.md")
	require.NotContains(t, seen(t, m), "client.000")
	press(m, "down")
	require.Contains(t, row(0), "client.001")
	for _, k := range []string{"x", "esc", "ctrl+c"} {
		require.True(t, press(m, k), k)
	}
	press(m, "/")
	require.True(t, press(m, "ctrl+c"), "while the filter is typed")
}

func TestScreenResize(t *testing.T) {
	two := sampleAt(1, conn(1, "osd.1", 1, 1, func(c *Connection) { c.LastError = "connection refused\x1b[2J" }))
	two.Messengers = append(two.Messengers, Messenger{Name: "mon.0"}, Messenger{Name: "mon.1"},
		Messenger{Name: "mon.2"}, Messenger{Name: "mon.3"}, Messenger{Name: "mon.4"})
	m := watched(t, two)
	require.NotContains(t, seen(t, m), "MESSENGER")
	require.Contains(t, seen(t, m), "and 2 more messengers")
	m.Update(tea.WindowSizeMsg{Width: 100, Height: 30})
	require.Contains(t, seen(t, m), "MESSENGER")
	m.Update(tea.WindowSizeMsg{Width: 200, Height: 30})
	require.Contains(t, seen(t, m), "connection refused?[2J", "and no control characters")
	for width := range 100 {
		for height := range 12 {
			m.Update(tea.WindowSizeMsg{Width: width, Height: height})
			if width > 0 && height > 0 {
				seen(t, m)
			}
		}
	}
}

// TestScreenLost: a socket that answers no more is said, with what was there last.
func TestScreenLost(t *testing.T) {
	m := watched(t, sampleAt(0, many(3, 1)...))
	m.now = func() time.Time { return began.Add(7 * time.Second) }
	for s := range 3 {
		m.Update(answered{at: began.Add(time.Duration(s) * time.Second), err: errors.New("it has ended")})
	}
	require.Contains(t, seen(t, m), "no answer for 7s: it has ended")
	require.Contains(t, seen(t, m), "client.001")
	m.Update(answered{at: began, sample: sampleAt(9)})
	require.NotContains(t, seen(t, m), "no answer")
	require.NotContains(t, seen(t, m), "client.001")
}

// TestAsks: one question at a time, and the next one an interval after the answer.
func TestAsks(t *testing.T) {
	asked := 0
	m := newModel(Options{Interval: time.Microsecond}, func() (*Sample, error) { asked++; return sampleAt(asked), nil })
	require.Equal(t, due{}, m.Init()())
	_, ask := m.Update(due{})
	a := ask()
	require.Equal(t, 1, asked)
	_, wait := m.Update(a)
	require.Equal(t, due{}, wait())
	require.Equal(t, 1, asked)
}

// TestWatch: the program itself, on a terminal of 80 by 24 that is a buffer, until x is pressed.
func TestWatch(t *testing.T) {
	path := live(t)
	var out bytes.Buffer
	o := Options{Path: path, Interval: time.Millisecond, Timeout: patience, Max: 10, Order: ByPeer}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	require.NoError(t, watch(ctx, &out, o, tea.WithInput(strings.NewReader("x")), tea.WithWindowSize(80, 24)))
	require.NoError(t, ctx.Err())
	o.Path += "2"
	require.ErrorContains(t, watch(ctx, &out, o), "no process has made an admin socket there")
	cancel()
	o.Path = path
	require.NoError(t, watch(ctx, &out, o, tea.WithInput(nil), tea.WithWindowSize(80, 24)), "interrupted")
}
