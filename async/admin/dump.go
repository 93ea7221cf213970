package admin

import (
	"fmt"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/hist"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection"
)

// connsMax is how many connections of a messenger are dumped unless more are asked for.
const connsMax = 1000

type messengerJSON struct {
	Name       string           `json:"name"`
	Time       time.Time        `json:"time"`
	Life       string           `json:"life"`
	Addrs      string           `json:"addrs"`
	GlobalID   uint64           `json:"global_id"`
	Workers    []workerJSON     `json:"workers"`
	Throttle   throttleJSON     `json:"dispatch_throttle"`
	SendBytes  int64            `json:"send_bytes"`
	SendMax    int64            `json:"send_bytes_max"`
	Policies   []policyJSON     `json:"policy_throttles"`
	Queue      queueJSON        `json:"dispatch_queue"`
	SendToAck  latencyJSON      `json:"send_to_ack"`
	Count      int              `json:"connections_count"`
	Handshakes int              `json:"handshakes_count"`
	Absent     int              `json:"absent_count"`
	Left       int              `json:"connections_left_out"`
	Conns      []connectionJSON `json:"connections"`
}

type workerJSON struct {
	ID        int         `json:"id"`
	Load      int         `json:"sockets"`
	Received  uint64      `json:"received"`
	Sent      uint64      `json:"sent"`
	Lent      uint64      `json:"lent"`
	Wakeups   uint64      `json:"wakeups"`
	Rounds    uint64      `json:"rounds"`
	Events    uint64      `json:"events"`
	Tasks     uint64      `json:"tasks"`
	Posted    int         `json:"tasks_posted"`
	InRound   seconds     `json:"held_up_for"`
	SendToAck latencyJSON `json:"send_to_ack"`
}

type throttleJSON struct {
	Limit   int64  `json:"max"`
	Held    int64  `json:"val"`
	Peak    int64  `json:"peak"`
	Waiting int    `json:"waiting"`
	Waits   uint64 `json:"waits"`
}

type policyJSON struct {
	Type     string       `json:"peer_type"`
	Messages throttleJSON `json:"messages"`
	Bytes    throttleJSON `json:"bytes"`
}

// latencyJSON is a histogram in short: bounds of the buckets, up to twice the true value.
type latencyJSON struct {
	Count uint64  `json:"count"`
	Mean  seconds `json:"mean"`
	P50   seconds `json:"p50"`
	P99   seconds `json:"p99"`
	P999  seconds `json:"p999"`
}

type queueJSON struct {
	Length      int          `json:"length"`
	MaxAge      seconds      `json:"max_age_ago"`
	Dispatching int          `json:"dispatching"`
	Jobs        int          `json:"jobs"`
	InPlace     bool         `json:"in_place"`
	Stuck       int          `json:"stuck"`
	StuckTotal  uint64       `json:"stuck_total"`
	Slow        uint64       `json:"slow_fast_dispatches"`
	Bands       []bandJSON   `json:"bands"`
	Wait        latencyJSON  `json:"queue_wait"`
	Run         latencyJSON  `json:"dispatch_time"`
	Long        []longJSON   `json:"long_callbacks"`
	Pool        *poolJSON    `json:"pool,omitempty"`
	Throttle    throttleJSON `json:"throttle"`
}

type bandJSON struct {
	Name          string  `json:"band"`
	Length        int     `json:"length"`
	MaxAge        seconds `json:"max_age_ago"`
	Enqueued      uint64  `json:"enqueued"`
	EnqueuedBytes uint64  `json:"enqueued_bytes"`
}

type longJSON struct {
	Conn     string  `json:"connection"`
	Callback string  `json:"callback"`
	For      seconds `json:"for_at_least"`
}

type poolJSON struct {
	Running int `json:"running"`
	Waiting int `json:"waiting"`
	Size    int `json:"size"`
}

type connectionJSON struct {
	ID            uint64     `json:"conn_id"`
	Peer          peerJSON   `json:"peer"`
	State         string     `json:"state"`
	Protocol      stateJSON  `json:"protocol"`
	Status        statusJSON `json:"status"`
	Worker        int        `json:"worker_id"`
	Local         string     `json:"local_addr"`
	Remote        string     `json:"remote_addr"`
	Policy        string     `json:"policy"`
	Received      uint64     `json:"received"`
	ReceivedBytes uint64     `json:"received_bytes"`
	Sent          uint64     `json:"sent"`
	SentBytes     uint64     `json:"sent_bytes"`
	Replayed      uint64     `json:"replayed"`
	Held          int        `json:"send_queue"`
	HeldBytes     int64      `json:"send_queue_bytes"`
	Stalled       seconds    `json:"send_queue_stalled_for"`
	AckTime       seconds    `json:"ack_time"`
	Dispatching   int        `json:"dispatching"`
	Waits         uint64     `json:"throttle_waits"`
	Waiting       seconds    `json:"throttled_for"`
	WaitsFor      string     `json:"throttled_by"`
	Quiet         seconds    `json:"last_received_ago"`
	Keepalive     *time.Time `json:"last_keepalive"`
	KeepaliveAck  *time.Time `json:"last_keepalive_ack"`
	Faults        uint64     `json:"faults"`
	Resumed       uint64     `json:"resumed"`
	Attempts      uint64     `json:"attempts"`
	LastError     string     `json:"last_error"`
	FaultAgo      seconds    `json:"last_error_ago"`
}

type peerJSON struct {
	Name     string `json:"entity_name"`
	Type     string `json:"type"`
	GlobalID uint64 `json:"global_id"`
	Addrs    string `json:"addrs"`
	Auth     string `json:"authenticated_as"`
	Proved   bool   `json:"proved"`
	Method   uint32 `json:"auth_method"`
	Mode     uint32 `json:"con_mode"`
}

type stateJSON struct {
	State string `json:"state"`
	Step  string `json:"step"`
}

type statusJSON struct {
	Connected bool `json:"connected"`
	Loopback  bool `json:"loopback"`
	Accepted  bool `json:"accepted"`
}

func (d *desk) messengerDump(args Args) (any, error) {
	most, err := args.Int("max", connsMax)
	if err != nil || most < 0 {
		return nil, fmt.Errorf("max is a number of connections: %q", args.Get("max"))
	}
	chosen, err := d.chosen(args.Get("messenger"))
	if err != nil {
		return nil, err
	}
	all := []messengerJSON{}
	for _, m := range chosen {
		all = append(all, dumpOf(m, most))
	}
	return map[string]any{"messengers": all}, nil
}

func dumpOf(m named, most int) messengerJSON {
	s := m.Snapshot()
	out := messengerJSON{
		Name: m.name, Time: s.Time, Life: s.Life, Addrs: s.Addrs.String(), GlobalID: s.GlobalID,
		Workers: []workerJSON{}, Throttle: throttleJSON(s.Throttle), SendBytes: s.SendBytes, SendMax: s.SendBytesMax,
		Policies: []policyJSON{}, Queue: queueOf(&s), SendToAck: latencyOf(&s.SendToAck), Count: s.Connections,
		Handshakes: s.Handshakes, Absent: s.Absent, Conns: []connectionJSON{},
	}
	for i := range s.Workers {
		w := &s.Workers[i]
		out.Workers = append(out.Workers, workerJSON{
			w.ID, w.Load, w.Received, w.Sent, w.Lent, w.Activity.Wakeups, w.Activity.Rounds, w.Activity.Events,
			w.Activity.Tasks, w.Activity.Posted, seconds(w.Activity.InRound), latencyOf(&w.SendToAck),
		})
	}
	for _, p := range s.Policies {
		out.Policies = append(out.Policies,
			policyJSON{typeName(p.Type), throttleJSON(p.Messages), throttleJSON(p.Bytes)})
	}
	for _, c := range m.ConnectionStats() {
		if len(out.Conns) == most {
			out.Left++
			continue
		}
		out.Conns = append(out.Conns, connectionOf(&c))
	}
	return out
}

func typeName(t entity.Type) string {
	if t == 0 {
		return "default"
	}
	return t.String()
}

func latencyOf(h *hist.Durations) latencyJSON {
	return latencyJSON{h.Count(), seconds(h.Mean()), seconds(h.Quantile(0.5)), seconds(h.Quantile(0.99)),
		seconds(h.Quantile(0.999))}
}

func connectionOf(c *connection.ConnStats) connectionJSON {
	out := connectionJSON{
		ID: c.ID, State: c.State.String(), Protocol: stateJSON{c.SessionState, c.Step},
		Peer: peerJSON{c.Peer.String(), c.Peer.Type.String(), c.GlobalID, c.Addrs.String(), "", c.Authenticated.Proved,
			c.Authenticated.Method, c.Authenticated.Mode},
		Status: statusJSON{c.Up, c.Loopback, c.Accepted}, Worker: c.Worker, Policy: policyName(c.Policy),
		Received: c.Received, ReceivedBytes: c.ReceivedBytes, Sent: c.Sent, SentBytes: c.SentBytes,
		Replayed: c.Replayed, Held: c.Held, HeldBytes: c.HeldBytes, Stalled: seconds(c.Stalled),
		AckTime: seconds(c.AckTime), Dispatching: c.Dispatching, Waits: c.Waits, Waiting: seconds(c.Waiting),
		WaitsFor: c.WaitsFor, Quiet: seconds(c.Quiet), Keepalive: timeOf(c.LastKeepalive),
		KeepaliveAck: timeOf(c.LastKeepaliveAck), Faults: c.Faults, Resumed: c.Resumed, Attempts: c.Attempts,
		FaultAgo: seconds(c.FaultAgo),
	}
	if c.Local.IsValid() {
		out.Local = c.Local.String()
	}
	if c.Remote.IsValid() {
		out.Remote = c.Remote.String()
	}
	if c.Authenticated.Name != (entity.AuthName{}) {
		out.Peer.Auth = c.Authenticated.Name.String()
	}
	if c.LastError != nil {
		out.LastError = c.LastError.Error()
	}
	return out
}

func timeOf(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// policyName says what decides how a connection behaves.
func policyName(p msg.Policy) string {
	s := "lossless"
	if p.Lossy {
		s = "lossy"
	}
	if p.Server {
		return s + " server"
	}
	return s
}

func (d *desk) dispatchDump(args Args) (any, error) {
	chosen, err := d.chosen(args.Get("messenger"))
	if err != nil {
		return nil, err
	}
	all := map[string]queueJSON{}
	for _, m := range chosen {
		s := m.Snapshot()
		all[m.name] = queueOf(&s)
	}
	return all, nil
}

func queueOf(s *async.Snapshot) queueJSON {
	q := &s.Queue
	out := queueJSON{
		Length: q.Len, MaxAge: seconds(q.OldestAge), Dispatching: q.Dispatching, Jobs: q.Drainers,
		InPlace: q.InPlaceNow, Stuck: q.Stuck, StuckTotal: q.StuckTotal, Slow: s.SlowFastDispatches,
		Wait: latencyOf(&s.QueueWait),
		Run:  latencyOf(&s.DispatchTime), Long: []longJSON{}, Throttle: throttleJSON(s.Throttle),
	}
	for i, b := range s.Bands {
		out.Bands = append(out.Bands,
			bandJSON{bandNames[i], b.Len, seconds(b.OldestAge), b.Enqueued, b.EnqueuedBytes})
	}
	for _, l := range s.LongCallbacks {
		out.Long = append(out.Long, longJSON{l.Conn, l.Callback, seconds(l.For)})
	}
	if s.Pool != (async.PoolStats{}) {
		out.Pool = &poolJSON{s.Pool.Running, s.Pool.Waiting, s.Pool.Size}
	}
	return out
}
