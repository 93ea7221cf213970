package simnet

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What TraceTo writes can be read, whatever was in it, and says what happened.
func TestTraceRoundTrip(t *testing.T) {
	l := newLab(t, 1, Config{Framer: framed})
	var log bytes.Buffer
	l.net.TraceTo(&log)
	c, s := l.pair()
	nasty := "quote \" backslash \\ bell \a tab\tnewline\n nul \x00 bad \xff é <&>"
	l.net.Note(nasty)
	f := l.net.Add(nasty, Isolate("a"))
	c.send("a1xb2yy")
	require.NoError(t, l.net.Run(time.Second))
	f.Lift()
	l.until(func() bool { return len(s.got) == 7 })
	l.b.Crash()
	l.b.Restart()
	require.NoError(t, l.net.TraceError())

	var events []Event
	require.NoError(t, ReadTrace(&log, func(e Event) bool { events = append(events, e); return true }))
	var what []string
	var stalled, framed bool
	last := time.Duration(0)
	for _, e := range events {
		require.GreaterOrEqual(t, e.At, last)
		last = e.At
		if e.Conn == 0 {
			what = append(what, e.What)
			continue
		}
		stalled = stalled || e.Verdict == "stall" && strings.HasPrefix(e.Rule, `quote " backslash`)
		framed = framed || e.What == "recv" && len(e.Frames) > 0 && e.Frames[0] == "line a"
	}
	require.Equal(t, []string{"note", "fault", "lift", "crash", "restart"}, what)
	require.True(t, stalled)
	require.True(t, framed)
	i := slices.IndexFunc(events, func(e Event) bool { return e.What == "note" })
	require.Equal(t, strings.ToValidUTF8(nasty, "�"), events[i].Text)

	err := ReadTrace(strings.NewReader("{\"at\":1,\"what\":\"note\"}\n{"), func(Event) bool { return true })
	require.ErrorContains(t, err, "line 2")
	l.net.TraceTo(badDisk{})
	l.net.Note("x")
	l.net.Note("y")
	require.EqualError(t, l.net.TraceError(), "disk full")
}

type badDisk struct{}

func (badDisk) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestChart(t *testing.T) {
	l := newLab(t, 1, Config{Framer: framed, Smooth: true, Link: LinkConfig{Latency: Fixed(time.Millisecond)}})
	l.net.AddHost("bystander", HostConfig{})
	var log bytes.Buffer
	l.net.TraceTo(&log)
	live := l.net.Chart(ChartConfig{Hosts: []string{"b", "a"}, To: time.Second})
	few := l.net.Chart(ChartConfig{Max: 1})
	none := l.net.Chart(ChartConfig{Hosts: []string{"a", "bystander"}})
	c, s := l.pair()
	l.net.Note("of no interest")
	c.send("a1xb0")
	l.until(func() bool { return len(s.got) == 5 })
	f := l.net.Add("the; wall #1", OneWay("a", "b"))
	c.send("c0")
	require.NoError(t, l.net.Run(time.Minute))
	f.Lift()
	require.NoError(t, l.net.Run(time.Minute))
	text := func(c *Chart) string {
		var b strings.Builder
		_, err := c.WriteTo(&b)
		require.NoError(t, err)
		return b.String()
	}
	got := text(live)
	require.Equal(t, `sequenceDiagram
    participant h0 as b
    participant h1 as a
    h1->>h0: 1.001ms #35;1 syn
    h0->>h1: 2.001ms #35;1 synack
    h1->>h0: 3.002ms #35;1 line a + line b 0..5
    Note over h0,h1: 3.002ms fault the#59; wall #35;1
    h1-xh0: 3.003ms #35;1 line c 5..7 (stall by the#59; wall #35;1)
`, got)
	require.Contains(t, text(few), "and 6 more")
	require.NotContains(t, text(none), "->>")

	// From the file it is the same.
	read := NewChart(ChartConfig{Hosts: []string{"b", "a"}, To: time.Second})
	require.NoError(t, ReadTrace(&log, func(e Event) bool { read.Add(e); return true }))
	require.Equal(t, got, text(read))
}

// A rule that panics ends the run, which says which rule, about what.
func TestPanickingRule(t *testing.T) {
	l := newLab(t, 42, Config{})
	c, s := l.pair()
	boom := errors.New("boom")
	l.net.Add("fine", func(*Packet) Verdict { return Pass() })
	l.net.Add("bad rule", func(p *Packet) Verdict {
		if p.Kind == Data {
			panic(boom)
		}
		return Pass()
	})
	c.send("hello")
	err := l.net.Run(time.Minute)
	var p *PanicError
	require.ErrorAs(t, err, &p)
	require.ErrorIs(t, err, boom)
	require.Equal(t, "bad rule", p.Rule)
	require.Equal(t, uint64(42), p.Seed)
	require.Equal(t, "hello"[:len(p.Packet.Data)], string(p.Packet.Data))
	require.Equal(t, "a", p.Packet.From)
	require.Contains(t, err.Error(), "TestPanickingRule")
	require.Contains(t, err.Error(), "seed 42")
	require.False(t, l.net.Step())
	require.Equal(t, err, l.net.Err())
	require.Equal(t, err, l.net.RunUntil(func() bool { return len(s.got) > 0 }, time.Minute))
	require.Empty(t, s.got)
}

// Time that does not go on ends the run, too.
func TestZeroTimeLoop(t *testing.T) {
	l := newLab(t, 1, Config{Crowd: 1000})
	l.pair()
	var again func()
	again = func() { l.net.After(0, again) }
	again()
	err := l.net.Run(time.Second)
	var stuck *StuckError
	require.ErrorAs(t, err, &stuck)
	require.Contains(t, stuck.Why, "1001 events at this instant")
	require.Contains(t, stuck.Sockets, "ESTABLISHED")
	require.Equal(t, err, l.net.Err())
	require.False(t, l.net.Step())
}
