package export

import (
	"strings"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/hist"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// emit is told the values of a metric, with the values of its labels.
type emit func(n float64, labels ...string)

// source is what the values of a metric are asked of.
type source uint8

const (
	ofMessenger source = iota
	ofNode             // for calls: Options.Nodes
	ofMux              // for streams: Options.Muxes
)

// entry is a metric and where its values are. One of read and took is there.
type entry struct {
	Metric
	from source
	read func(*Reading, emit)
	took func(*Reading) *hist.Durations
}

// table is all that is exported. What of a snapshot, of rpc.Stats and of stream.Stats is not here
// is in the list of the test TestEveryNumberIsExported, with the reason.
var table = join(trafficTable, failureTable, sessionTable, dispatchTable, throttleTable, workerTable, rpcTable,
	streamTable)

func join(all ...[]entry) (t []entry) {
	for _, part := range all {
		t = append(t, part...)
	}
	return t
}

// of makes a metric of one number of the snapshot.
func of[N uint64 | int64 | int](kind Kind, name, unit, help string, n func(*async.Snapshot) N) entry {
	return entry{Metric: Metric{Name: name, Unit: unit, Kind: kind, Help: help},
		read: func(r *Reading, f emit) { f(float64(n(&r.snap))) }}
}

func counter(name, unit, help string, n func(*async.Snapshot) uint64) entry {
	return of(Counter, name, unit, help, n)
}

func gauge[N uint64 | int64 | int](name, unit, help string, n func(*async.Snapshot) N) entry {
	return of(Gauge, name, unit, help, n)
}

// labelled is a metric with one label or more.
func labelled(kind Kind, name, unit, help string, labels []string, read func(*Reading, emit)) entry {
	return entry{Metric: Metric{Name: name, Unit: unit, Kind: kind, Help: help, Labels: labels}, read: read}
}

func histogram(name, help string, took func(*async.Snapshot) *hist.Durations) entry {
	return entry{Metric: Metric{Name: name, Unit: Seconds, Kind: Histogram, Help: help},
		took: func(r *Reading) *hist.Durations { return took(&r.snap) }}
}

var trafficTable = []entry{
	counter("msgr.messages.received", messages, "Messages that came in over the network",
		func(s *async.Snapshot) uint64 { return s.Received }),
	counter("msgr.payload.received", Bytes, "Payload of the messages that came in over the network",
		func(s *async.Snapshot) uint64 { return s.ReceivedBytes }),
	counter("msgr.messages.sent", messages, "Messages encoded for the network; what is sent again counts again",
		func(s *async.Snapshot) uint64 { return s.Sent }),
	counter("msgr.payload.sent", Bytes, "Payload of the messages encoded for the network",
		func(s *async.Snapshot) uint64 { return s.SentBytes }),
	counter("msgr.messages.replayed", messages, "Messages that were sent again after a fault",
		func(s *async.Snapshot) uint64 { return s.Replayed }),
	counter("msgr.messages.delivered", messages, "Sendings that ended well: acknowledged (lossless) or written (lossy)",
		func(s *async.Snapshot) uint64 { return s.Delivered }),
	counter("msgr.frames.compressed", "{frame}", "Frames that were sent in compressed form",
		func(s *async.Snapshot) uint64 { return s.Compressed }),
	counter("msgr.compression.from", Bytes, "What the segments of compressed frames were before",
		func(s *async.Snapshot) uint64 { return s.CompressedFrom }),
	counter("msgr.compression.to", Bytes, "What they became",
		func(s *async.Snapshot) uint64 { return s.CompressedTo }),
	counter("msgr.frames.compressed_in_vain", "{frame}", "Frames that did not get shorter, and were sent as they are",
		func(s *async.Snapshot) uint64 { return s.CompressedInVain }),
	counter("msgr.frames.decompressed", "{frame}", "Frames that came in compressed form",
		func(s *async.Snapshot) uint64 { return s.Decompressed }),
	counter("msgr.decompression.from", Bytes, "What the segments of these frames were on the wire",
		func(s *async.Snapshot) uint64 { return s.DecompressedFrom }),
	counter("msgr.decompression.to", Bytes, "What they became",
		func(s *async.Snapshot) uint64 { return s.DecompressedTo }),
	counter("msgr.lent_writes", times, "Writes for which a sender was the worker, instead of waking it",
		func(s *async.Snapshot) uint64 { return s.Lent }),
	histogram("msgr.send_to_ack", "From Send to acknowledged (lossless) or written (lossy), one message in sixteen",
		func(s *async.Snapshot) *hist.Durations { return &s.SendToAck }),
	counter("msgr.messages.fast_dispatched", messages, "Messages that were dispatched on their worker",
		func(s *async.Snapshot) uint64 { return s.FastDispatched }),
	counter("msgr.send.high_waters", times, "How often a connection passed SendHighWater",
		func(s *async.Snapshot) uint64 { return s.HighWaters }),
	gauge("msgr.send.held", Bytes, "What all connections hold for sending, beyond 64 KiB each",
		func(s *async.Snapshot) int64 { return s.SendBytes }),
	gauge("msgr.send.held_limit", Bytes, "The bound of msgr.send.held; 0: there is none",
		func(s *async.Snapshot) int64 { return s.SendBytesMax }),
	overConns(gauge("msgr.send.queue", messages, "Messages queued, or sent and not acknowledged", noInt),
		func(c *connTotals, f emit) { f(float64(c.held)) }),
	overConns(gauge("msgr.send.queue_payload", Bytes, "Payload of the messages held for sending", noInt),
		func(c *connTotals, f emit) { f(float64(c.heldBytes)) }),
	overConns(gauge("msgr.send.longest_stall", Seconds,
		"For how long nothing that it holds had its end, of the connection where that is longest", noInt),
		func(c *connTotals, f emit) { f(c.longestStall.Seconds()) }),
}

func noInt(*async.Snapshot) int { return 0 }

// overConns makes e a metric of what the look at all connections has found.
func overConns(e entry, read func(*connTotals, emit)) entry {
	e.Connections = true
	e.read = func(r *Reading, f emit) { read(&r.conns, f) }
	return e
}

var failureTable = []entry{
	labelled(Counter, "msgr.messages.undeliverable", messages, "Sendings that did not end well, by why not",
		[]string{LabelReason}, func(r *Reading, f emit) {
			for i, n := range r.snap.UndeliverableBy {
				f(float64(n), msg.Loss(i).String())
			}
		}),
	labelled(Counter, "msgr.messages.discarded", messages, "Received messages dropped before dispatch, by why",
		[]string{LabelReason}, func(r *Reading, f emit) {
			for _, l := range lossesReceived {
				f(float64(r.snap.DiscardedBy[l]), l.String())
			}
		}),
	labelled(Counter, "msgr.connect.failures", connections, "Attempts to connect that failed, by reason",
		[]string{LabelReason}, func(r *Reading, f emit) { reasons(&r.snap.ConnectFailures, f) }),
	counter("msgr.connect.refused", connections, "Attempts to connect that the peer's host refused",
		func(s *async.Snapshot) uint64 { return s.Refused }),
	labelled(Counter, "msgr.accept.failures", connections, "Accepted connections that did not come up, by reason",
		[]string{LabelReason}, func(r *Reading, f emit) { reasons(&r.snap.AcceptFailures, f) }),
	counter("msgr.accept.errors", times, "Failures of accept",
		func(s *async.Snapshot) uint64 { return s.AcceptErrors }),
	counter("msgr.accept.turned_away", connections,
		"Accepted sockets closed because of HandshakesMax or HandshakesMaxPerHost",
		func(s *async.Snapshot) uint64 { return s.TurnedAway }),
	counter("msgr.transport.faults", times, "Lost transports, those of attempts that failed included",
		func(s *async.Snapshot) uint64 { return s.Faults }),
	counter("msgr.transport.rekeys", times, "Connections given up because their keys were used up",
		func(s *async.Snapshot) uint64 { return s.Rekeys }),
	counter("msgr.messages.rejected", messages, "Messages that broke their connection again and again",
		func(s *async.Snapshot) uint64 { return s.Rejected }),
	counter("msgr.messages.changed", messages, "Messages found to have changed after Send (CheckPayloads)",
		func(s *async.Snapshot) uint64 { return s.Changed }),
	counter("msgr.panics", callbacks, "Callbacks of any kind that panicked or ended their goroutine",
		func(s *async.Snapshot) uint64 { return s.Panics }),
}

// lossesReceived are those of received messages: see async.Snapshot.
var lossesReceived = []msg.Loss{msg.LossMarkedDown, msg.LossReset, msg.LossRemoteReset, msg.LossShutdown}

func reasons(counts *[msg.NumReasons]uint64, f emit) {
	for i, n := range counts {
		f(float64(n), strings.ReplaceAll(msg.Reason(i).String(), " ", "_"))
	}
}

var sessionTable = []entry{
	gauge("msgr.started", messengers, "1 from Start to Shutdown, 0 before and after", func(s *async.Snapshot) int {
		if s.Life == "started" {
			return 1
		}
		return 0
	}),
	gauge("msgr.connections", connections, "Connections that exist, but for the one to itself",
		func(s *async.Snapshot) int { return s.Connections }),
	gauge("msgr.connections.absent", connections, "Connections that wait for peers which alone can come back",
		func(s *async.Snapshot) int { return s.Absent }),
	overConns(labelled(Gauge, "msgr.connections.states", connections,
		"Connections by state, those that are being accepted left out", []string{LabelState}, nil),
		func(c *connTotals, f emit) {
			for i, n := range c.states {
				f(float64(n), stateNames[i])
			}
		}),
	gauge("msgr.handshakes", connections, "Accepted connections whose handshake is under way",
		func(s *async.Snapshot) int { return s.Handshakes }),
	counter("msgr.sessions.connected", sessions, "Sessions that became ready, of connections that this side made",
		func(s *async.Snapshot) uint64 { return s.Connected }),
	counter("msgr.sessions.accepted", sessions, "Sessions that became ready, of connections that the peer made",
		func(s *async.Snapshot) uint64 { return s.Accepted }),
	counter("msgr.sessions.resumed", sessions, "Sessions among these that were ready again, over another transport",
		func(s *async.Snapshot) uint64 { return s.Resumed }),
	counter("msgr.sessions.reset", sessions, "Sessions that ended on this side",
		func(s *async.Snapshot) uint64 { return s.Resets }),
	counter("msgr.sessions.reset_by_peer", sessions, "Sessions that the peer had lost",
		func(s *async.Snapshot) uint64 { return s.RemoteResets }),
}
