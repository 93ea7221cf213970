package export

import "github.com/asyncmsgr/asyncmsgr/async/stream"

// ofStreams is a metric of the messenger's stream.Mux, if it was given one.
func ofStreams[N uint64 | int64 | int](kind Kind, name, unit, help string, n func(*stream.Stats) N) entry {
	e := labelled(kind, name, unit, help, nil, func(r *Reading, f emit) {
		if r.streams != nil {
			f(float64(n(r.streams)))
		}
	})
	e.from = ofMux
	return e
}

// streamTable is what a Mux counts. The names are those of the fields of stream.Stats, but that
// what they call bytes is payload, as elsewhere, since the unit says bytes.
var streamTable = []entry{
	ofStreams(Gauge, "msgr.stream.open", streams, "Streams that not both ends have closed",
		func(s *stream.Stats) int { return s.Streams }),
	ofStreams(Gauge, "msgr.stream.unread", Bytes, "What was received on these streams and not read",
		func(s *stream.Stats) int64 { return s.Unread }),
	ofStreams(Gauge, "msgr.stream.promised", Bytes,
		"The windows of all streams together, also of closed ones that are still to be read",
		func(s *stream.Stats) int64 { return s.Promised }),
	ofStreams(Counter, "msgr.stream.dialed", streams, "Streams that came up and that this side dialled",
		func(s *stream.Stats) uint64 { return s.Dialed }),
	ofStreams(Counter, "msgr.stream.accepted", streams, "Streams that came up and that the peer dialled",
		func(s *stream.Stats) uint64 { return s.Accepted }),
	ofStreams(Counter, "msgr.stream.refused", streams, "Streams that peers dialled in vain",
		func(s *stream.Stats) uint64 { return s.Refused }),
	ofStreams(Counter, "msgr.stream.reset", streams, "Streams that ended with their session",
		func(s *stream.Stats) uint64 { return s.Reset }),
	ofStreams(Counter, "msgr.stream.messages_sent", messages, "Messages with data of streams that were sent",
		func(s *stream.Stats) uint64 { return s.MessagesSent }),
	ofStreams(Counter, "msgr.stream.payload_sent", Bytes, "Data of streams that was sent",
		func(s *stream.Stats) uint64 { return s.BytesSent }),
	ofStreams(Counter, "msgr.stream.messages_received", messages, "Messages with data of streams that were received",
		func(s *stream.Stats) uint64 { return s.MessagesReceived }),
	ofStreams(Counter, "msgr.stream.payload_received", Bytes, "Data of streams that was received",
		func(s *stream.Stats) uint64 { return s.BytesReceived }),
	ofStreams(Counter, "msgr.stream.coalesced", messages,
		"Messages among these that were copied behind others, being small",
		func(s *stream.Stats) uint64 { return s.Coalesced }),
	ofStreams(Counter, "msgr.stream.dropped", Bytes, "Data received for streams that were closed on this side",
		func(s *stream.Stats) uint64 { return s.Dropped }),
	ofStreams(Counter, "msgr.stream.unknown", messages, "Messages for streams that do not exist",
		func(s *stream.Stats) uint64 { return s.Unknown }),
	ofStreams(Counter, "msgr.stream.protocol", times, "Breaches of the protocol of streams, by peers",
		func(s *stream.Stats) uint64 { return s.Protocol }),
	ofStreams(Counter, "msgr.stream.send_waits", times, "Pieces of writes that waited for room in the send queue",
		func(s *stream.Stats) uint64 { return s.SendWaits }),
	ofStreams(Counter, "msgr.stream.postponed", messages,
		"Messages other than data that waited for room in the send queue",
		func(s *stream.Stats) uint64 { return s.Postponed }),
	ofStreams(Counter, "msgr.stream.answers_dropped", messages,
		"Refusals for which there was no room to wait either",
		func(s *stream.Stats) uint64 { return s.AnswersDropped }),
}
