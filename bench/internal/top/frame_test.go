package top

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var began = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)

// sampleAt is a messenger with those connections, at so many seconds.
func sampleAt(second int, conns ...Connection) *Sample {
	m := Messenger{Name: "osd.0", Life: "started", Time: began.Add(time.Duration(second) * time.Second),
		Count: len(conns), Connections: conns}
	return &Sample{[]Messenger{m}}
}

// conn is a connection that has received and sent so many messages of 10 bytes.
func conn(id uint64, peer string, received, sent uint64, change ...func(*Connection)) Connection {
	c := Connection{ID: id, State: "connected", Received: received, ReceivedBytes: 10 * received, Sent: sent,
		SentBytes: 10 * sent, Remote: "10.0.0.1:6800"}
	c.Peer.Name = peer
	for _, f := range change {
		f(&c)
	}
	return c
}

func names(rows []Row) (all []string) {
	for _, r := range rows {
		all = append(all, r.Peer)
	}
	return all
}

func TestBetween(t *testing.T) {
	first := sampleAt(0, conn(1, "osd.1", 100, 10), conn(2, "osd.2", 50, 50), conn(4, "osd.4", 1000, 9))
	f := Between(nil, first)
	require.Zero(t, f.Over)
	require.Len(t, f.Rows, 3)
	require.Zero(t, f.Rows[0].Received, "no rate of one sample")

	loop := conn(9, "osd.0", 7, 7)
	loop.Status.Loopback = true
	f = Between(first, sampleAt(2, loop, conn(1, "osd.1", 300, 10), conn(3, "osd.3", 8, 0, func(c *Connection) {
		c.Faults = 2
	}), conn(4, "osd.4", 6, 0)))
	require.Equal(t, 2.0, f.Over)
	require.Equal(t, []string{"osd.1", "osd.3", "osd.4"}, names(f.Rows), "without the one to itself")
	require.Equal(t, 100.0, f.Rows[0].Received)
	require.Equal(t, 1000.0, f.Rows[0].ReceivedBytes)
	require.Zero(t, f.Rows[0].Sent)
	require.Equal(t, 4.0, f.Rows[1].Received, "it is new")
	require.EqualValues(t, 2, f.Rows[1].NewFaults)
	require.Equal(t, 3.0, f.Rows[2].Received, "the process was started anew")

	require.Zero(t, Between(sampleAt(5), sampleAt(4)).Over, "a clock that was set back")
	require.Empty(t, Between(&Sample{}, &Sample{}).Rows)
}

func TestView(t *testing.T) {
	f := Between(sampleAt(0), sampleAt(1,
		conn(1, "osd.1", 1, 30, func(c *Connection) { c.Queue, c.QueueBytes, c.Stalled = 1, 500, 2 }),
		conn(2, "client.2", 2, 20, func(c *Connection) {
			c.Faults, c.LastError, c.State = 3, "Connection refused", "waiting"
		}),
		conn(3, "mon.3", 3, 10, func(c *Connection) { c.Queue, c.QueueBytes, c.Stalled = 2, 500, 1 })))
	for order, want := range map[Order][]string{
		ByReceived: {"mon.3", "client.2", "osd.1"},
		BySent:     {"osd.1", "client.2", "mon.3"},
		ByBytes:    {"osd.1", "client.2", "mon.3"},
		ByQueue:    {"mon.3", "osd.1", "client.2"},
		ByStalled:  {"osd.1", "mon.3", "client.2"},
		ByFaults:   {"client.2", "mon.3", "osd.1"},
		ByPeer:     {"client.2", "mon.3", "osd.1"},
	} {
		require.Equal(t, want, names(f.View(order, false, "")), order)
		back := names(f.View(order, true, ""))
		require.Equal(t, []string{want[2], want[1], want[0]}, back, order)
	}
	require.Len(t, Orders, len(compare))
	for filter, want := range map[string][]string{
		"OSD":             {"osd.1", "client.2", "mon.3"}, // the messenger is osd.0
		"mon.3":           {"mon.3"},
		"refused waiting": {"client.2"},
		"refused mon":     nil,
		"10.0.0":          {"osd.1", "client.2", "mon.3"},
	} {
		require.Equal(t, want, names(f.View(BySent, false, filter)), filter)
	}
}

func TestNumbers(t *testing.T) {
	for n, want := range map[float64]string{
		0: "0", 1: "1", 0.25: "0.2", 9.96: "10", 10.4: "10", 9999: "9999", 10000: "10k", 12345: "12k", 999499: "999k",
		999999: "1.0M", 1234567: "1.2M", 1e9: "1.0G", 5e12: "5.0T", 5e15: "5.0P", 5e18: "5E",
	} {
		require.Equal(t, want, short(n), n)
		require.LessOrEqual(t, len(short(n)), 5)
	}
	for s, want := range map[float64]string{
		0: "-", -1: "-", 1e-9: "1us", 0.0005: "500us", 0.9999: "999ms", 1: "1.0s", 99.99: "99.9s", 100: "100s",
		5999: "5999s", 6000: "1h", 1e6: "277h",
	} {
		require.Equal(t, want, seconds(s), s)
	}
	require.Equal(t, "abc", cut("abc", 3))
	require.Equal(t, "ab~", cut("abcd", 3))
	require.Equal(t, "~", cut("abcd", 1))
	require.Equal(t, "äö~", cut("äöüß", 3))
	require.Equal(t, "a b?c", printable("a\nb\x1bc"))
}
