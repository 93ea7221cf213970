package top

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Frame is what happened between two samples.
type Frame struct {
	Time time.Time `json:"time"`
	// Over is how long that is in seconds, 0 if there was no sample before.
	Over       float64     `json:"over_seconds"`
	Messengers []Messenger `json:"-"`
	Rows       []Row       `json:"connections"`
}

// Row is a connection; rates are of a second.
type Row struct {
	Messenger     string  `json:"messenger"`
	ID            uint64  `json:"conn_id"`
	Peer          string  `json:"peer"`
	Address       string  `json:"address"`
	State         string  `json:"state"`
	Received      float64 `json:"received_rate"`
	ReceivedBytes float64 `json:"received_bytes_rate"`
	Sent          float64 `json:"sent_rate"`
	SentBytes     float64 `json:"sent_bytes_rate"`
	Queue         int     `json:"send_queue"`
	QueueBytes    int64   `json:"send_queue_bytes"`
	Stalled       float64 `json:"send_queue_stalled_for"`
	Ack           float64 `json:"ack_time"`
	ThrottledBy   string  `json:"throttled_by"`
	Faults        uint64  `json:"faults"`
	NewFaults     uint64  `json:"new_faults"`
	LastError     string  `json:"last_error"`
}

// Between is the Frame from before to now; before may be nil. A connection that was not there
// before has begun since. One whose numbers are lower than before is another one: the process
// was started anew.
func Between(before, now *Sample) *Frame {
	f := &Frame{Messengers: now.Messengers, Rows: []Row{}}
	type key struct {
		messenger string
		id        uint64
	}
	was := map[key]*Connection{}
	if before != nil && len(before.Messengers) > 0 && len(now.Messengers) > 0 {
		f.Over = max(0, now.Messengers[0].Time.Sub(before.Messengers[0].Time).Seconds())
		for i := range before.Messengers {
			m := &before.Messengers[i]
			for j := range m.Connections {
				was[key{m.Name, m.Connections[j].ID}] = &m.Connections[j]
			}
		}
	}
	for i := range now.Messengers {
		m := &now.Messengers[i]
		f.Time = m.Time
		for j := range m.Connections {
			if c := &m.Connections[j]; !c.Status.Loopback {
				f.Rows = append(f.Rows, rowOf(m.Name, was[key{m.Name, c.ID}], c, f.Over))
			}
		}
	}
	return f
}

func rowOf(messenger string, was, c *Connection, over float64) Row {
	if was == nil || c.Received < was.Received || c.Sent < was.Sent || c.Faults < was.Faults {
		was = new(Connection)
	}
	rate := func(was, now uint64) float64 {
		if over == 0 {
			return 0
		}
		return float64(now-min(was, now)) / over
	}
	r := Row{
		Messenger: messenger, ID: c.ID, Peer: c.Peer.Name, Address: cmp.Or(c.Remote, c.Peer.Addrs), State: c.State,
		Received: rate(was.Received, c.Received), ReceivedBytes: rate(was.ReceivedBytes, c.ReceivedBytes),
		Sent: rate(was.Sent, c.Sent), SentBytes: rate(was.SentBytes, c.SentBytes),
		Queue: c.Queue, QueueBytes: c.QueueBytes, Stalled: c.Stalled, Ack: c.Ack, ThrottledBy: c.ThrottledBy,
		Faults: c.Faults, LastError: c.LastError,
	}
	if over > 0 {
		r.NewFaults = c.Faults - min(was.Faults, c.Faults)
	}
	return r
}

// Of are the messengers that rows are of; all of them without a filter.
func (f *Frame) Of(rows []Row, filter string) (all []*Messenger) {
	for i := range f.Messengers {
		m := &f.Messengers[i]
		if filter == "" || slices.ContainsFunc(rows, func(r Row) bool { return r.Messenger == m.Name }) {
			all = append(all, m)
		}
	}
	return all
}

// Order is what rows are sorted by.
type Order string

// The orders, each with the key that chooses it. Numbers come with the largest first, names with
// the smallest.
const (
	ByReceived Order = "received"
	BySent     Order = "sent"
	ByBytes    Order = "bytes"
	ByQueue    Order = "queue"
	ByStalled  Order = "stalled"
	ByFaults   Order = "faults"
	ByPeer     Order = "peer"
)

// Orders are all of them, in the order of the columns.
var Orders = []Order{ByReceived, BySent, ByBytes, ByQueue, ByStalled, ByFaults, ByPeer}

var compare = map[Order]func(a, b *Row) int{
	ByReceived: func(a, b *Row) int { return cmp.Compare(b.Received, a.Received) },
	BySent:     func(a, b *Row) int { return cmp.Compare(b.Sent, a.Sent) },
	ByBytes: func(a, b *Row) int {
		return cmp.Compare(b.ReceivedBytes+b.SentBytes, a.ReceivedBytes+a.SentBytes)
	},
	ByQueue: func(a, b *Row) int {
		return cmp.Or(cmp.Compare(b.QueueBytes, a.QueueBytes), cmp.Compare(b.Queue, a.Queue))
	},
	ByStalled: func(a, b *Row) int { return cmp.Compare(b.Stalled, a.Stalled) },
	ByFaults: func(a, b *Row) int {
		return cmp.Or(cmp.Compare(b.NewFaults, a.NewFaults), cmp.Compare(b.Faults, a.Faults))
	},
	ByPeer: func(a, b *Row) int { return 0 }, // what decides between equals
}

// View are the rows that have all words of filter somewhere in the messenger, peer, address,
// state, throttle or last error, whatever the case, in that order; backwards, if that is set.
func (f *Frame) View(o Order, backwards bool, filter string) (rows []Row) {
	words := strings.Fields(strings.ToLower(filter))
	for _, r := range f.Rows {
		text := strings.ToLower(strings.Join(
			[]string{r.Messenger, r.Peer, r.Address, r.State, r.ThrottledBy, r.LastError}, " "))
		if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(text, w) }) {
			rows = append(rows, r)
		}
	}
	slices.SortStableFunc(rows, func(a, b Row) int {
		n := cmp.Or(compare[o](&a, &b), cmp.Compare(a.Peer, b.Peer), cmp.Compare(a.Messenger, b.Messenger),
			cmp.Compare(a.ID, b.ID))
		if backwards {
			return -n
		}
		return n
	})
	return rows
}
