package live

// calls are those of all Nodes together.
type calls struct {
	Out     int     `json:"out"`     // calls without their answers
	Running int     `json:"running"` // requests that are being handled, or wait for that
	Begun   float64 `json:"begun"`   // calls per second
	Handled float64 `json:"handled"` // requests per second
	// Failed are calls that got no reply, or an error, or could not be made, and requests that were not
	// handled or whose handler failed, per second.
	Failed float64 `json:"failed"`
}

// streams are those of all Muxes together.
type streams struct {
	Open     int     `json:"open"`
	Unread   int64   `json:"unread"`   // bytes
	Opened   float64 `json:"opened"`   // per second, by both ends
	Sent     float64 `json:"sent"`     // bytes per second
	Received float64 `json:"received"` // bytes per second
	// Failed were refused, or ended with their session, per second.
	Failed float64 `json:"failed"`
}

// callSums and streamSums are what was counted until a look.
type (
	callSums   struct{ begun, handled, failed uint64 }
	streamSums struct{ opened, sent, received, failed uint64 }
)

// calls looks at what counts calls, if anything does.
func (x *glance) calls() {
	if x.l.cfg.Nodes == nil {
		return
	}
	c, n, was := new(calls), &x.sums.calls, &x.l.all.calls
	for _, node := range x.l.cfg.Nodes() {
		s := node.Stats()
		c.Out, c.Running = c.Out+s.Out, c.Running+s.Running
		n.begun += s.Calls + s.OneWaysSent
		n.handled += s.Requests
		n.failed += s.Failed + s.RemoteErrors + s.WrongTypes + s.TooManyCalls + s.Withdrawn + s.Abandoned +
			s.Unimplemented + s.Expired + s.Overloaded + s.HandlerErrors
	}
	c.Begun, c.Handled, c.Failed = x.per(n.begun, was.begun), x.per(n.handled, was.handled), x.per(n.failed, was.failed)
	x.s.Calls = c
}

// streams does the same for streams.
func (x *glance) streams() {
	if x.l.cfg.Muxes == nil {
		return
	}
	c, n, was := new(streams), &x.sums.streams, &x.l.all.streams
	for _, mux := range x.l.cfg.Muxes() {
		s := mux.Stats()
		c.Open, c.Unread = c.Open+s.Streams, c.Unread+s.Unread
		n.opened += s.Dialed + s.Accepted
		n.sent, n.received = n.sent+s.BytesSent, n.received+s.BytesReceived
		n.failed += s.Refused + s.Reset
	}
	c.Opened, c.Failed = x.per(n.opened, was.opened), x.per(n.failed, was.failed)
	c.Sent, c.Received = x.per(n.sent, was.sent), x.per(n.received, was.received)
	x.s.Streams = c
}
