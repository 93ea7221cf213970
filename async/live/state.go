package live

// state is what a look has found, as the page gets it. Rates are per second, since the look
// before; at the first one Every is 0, and so are they.
type state struct {
	At    int64   `json:"at"`    // ms since 1970
	Every float64 `json:"every"` // seconds since the look before; 0: there was none

	Process process `json:"process"`
	Total   total   `json:"total"`
	Rates   rates   `json:"rates"`
	Latency latency `json:"latency"`

	// Calls and Streams are nil if Config.Nodes and Config.Muxes are.
	Calls   *calls   `json:"calls,omitempty"`
	Streams *streams `json:"streams,omitempty"`

	Nodes    []node    `json:"nodes"`
	Links    []link    `json:"links"`
	Sessions []session `json:"sessions"`
	Groups   []group   `json:"groups"`
	Events   []event   `json:"events"` // since the look before
}

type process struct {
	CPU        float64 `json:"cpu"`  // of one core: 1 is all of it; -1: the system does not tell
	Look       float64 `json:"look"` // part of the time that looking took
	Goroutines int     `json:"goroutines"`
	Heap       uint64  `json:"heap"` // bytes of objects
}

// total is what there is now.
type total struct {
	Messengers  int `json:"messengers"`
	Connections int `json:"connections"`
	Ready       int `json:"ready"`
	Handshakes  int `json:"handshakes"`
	Absent      int `json:"absent"`
	// Held and HeldBytes wait to be sent or acknowledged, Dispatching to be dispatched.
	Held        int         `json:"held"`
	HeldBytes   int64       `json:"heldBytes"`
	Dispatching int         `json:"dispatching"`
	Bands       [4]int      `json:"bands"` // that wait for dispatch, by band: events, high, normal, weighted
	Long        []string    `json:"long"`  // callbacks that run for long
	Counts      totalCounts `json:"counts"`
}

// totalCounts are since the messengers began.
type totalCounts struct {
	Received uint64 `json:"received"`
	Sent     uint64 `json:"sent"`
	Faults   uint64 `json:"faults"`
	Resumed  uint64 `json:"resumed"`
	Replayed uint64 `json:"replayed"`
	Resets   uint64 `json:"resets"`
}

type rates struct {
	Sent          float64    `json:"sent"`
	SentBytes     float64    `json:"sentBytes"`
	Received      float64    `json:"received"`
	ReceivedBytes float64    `json:"receivedBytes"`
	Bands         [4]float64 `json:"bands"` // what was queued for dispatch, by band
	Fast          float64    `json:"fast"`  // messages that were dispatched at once, whatever their priority
}

// latency are quantiles of what ended since the look before.
type latency struct {
	QueueWait quantiles `json:"queueWait"`
	Dispatch  quantiles `json:"dispatch"`
	SendToAck quantiles `json:"sendToAck"`
}

// quantiles are upper bounds in nanoseconds, of buckets of powers of two.
type quantiles struct {
	P50 int64  `json:"p50"`
	P99 int64  `json:"p99"`
	N   uint64 `json:"n"`
}

// node is one of the ring: messengers of this process with one name, or a peer; or, with Folded,
// so many of one type.
type node struct {
	Name      string `json:"name"`
	Type      string `json:"type"`
	Folded    int    `json:"folded,omitempty"`
	Here      bool   `json:"here"`
	Condition string `json:"condition,omitempty"`
	// Conns are the connections of messengers that are here; of a peer those with it.
	Conns int `json:"conns"`
	Ready int `json:"ready"`
	// Queue waits for dispatch, by band, In was queued for that, per second, and Fast was
	// dispatched at once. They are of nodes that are here.
	Queue [4]int     `json:"queue"`
	In    [4]float64 `json:"in"`
	Fast  float64    `json:"fast"`
	// Out waits to be sent or acknowledged.
	Out      int      `json:"out"`
	OutBytes int64    `json:"outBytes"`
	Sent     float64  `json:"sent"` // messages per second
	Received float64  `json:"received"`
	Faults   uint64   `json:"faults"`
	Can      []string `json:"can,omitempty"` // actions
}

// link is what two nodes of the ring have with each other: A comes first there.
type link struct {
	A     string  `json:"a"`
	B     string  `json:"b"`
	Conns int     `json:"conns"` // sessions
	Up    int     `json:"up"`    // of them
	AB    float64 `json:"ab"`    // messages per second from A to B
	BA    float64 `json:"ba"`
	Held  int     `json:"held"`
	// Faults, Resumed and Replayed are since the connections began.
	Faults   uint64 `json:"faults"`
	Resumed  uint64 `json:"resumed"`
	Replayed uint64 `json:"replayed"`
	// Cut: it lost a transport since the look before.
	Cut bool `json:"cut,omitempty"`
}

// session is a connection of a messenger that is here.
type session struct {
	ID       uint64  `json:"id"`
	Node     string  `json:"node"`
	Peer     string  `json:"peer"`
	Remote   string  `json:"remote,omitempty"`
	State    string  `json:"state"`
	Step     string  `json:"step,omitempty"`
	Policy   string  `json:"policy"`
	Sent     float64 `json:"sent"`
	Received float64 `json:"received"`
	Bytes    float64 `json:"bytes"` // both ways
	Held     int     `json:"held"`
	Stalled  int64   `json:"stalled,omitempty"` // ns
	AckTime  int64   `json:"ackTime"`           // ns
	WaitsFor string  `json:"waitsFor,omitempty"`
	Faults   uint64  `json:"faults"`
	Resumed  uint64  `json:"resumed"`
	Replayed uint64  `json:"replayed"`
	Error    string  `json:"error,omitempty"`
	ErrorAgo int64   `json:"errorAgo,omitempty"` // ns
}

// group sums up connections of one type of peers in one state.
type group struct {
	Peer     string  `json:"peer"`
	State    string  `json:"state"`
	Conns    int     `json:"conns"`
	Sent     float64 `json:"sent"`
	Received float64 `json:"received"`
	Bytes    float64 `json:"bytes"`
	Held     int     `json:"held"`
	Faults   uint64  `json:"faults"`
}

// event is a line of the timeline.
type event struct {
	Seq  uint64 `json:"seq"`
	At   int64  `json:"at"`   // ms since 1970
	Kind string `json:"kind"` // cut, attempt (that failed), reconnect, open, close, act
	Node string `json:"node,omitempty"`
	Peer string `json:"peer,omitempty"`
	N    uint64 `json:"n,omitempty"` // how often, or how many
	// Replayed are the messages that were sent again since the look before.
	Replayed uint64 `json:"replayed,omitempty"`
	Text     string `json:"text,omitempty"`
}
