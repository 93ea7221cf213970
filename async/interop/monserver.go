//go:build linux

package interop

import (
	"encoding/binary"
	"encoding/json"
	"slices"
	"sync"

	"github.com/asyncmsgr/asyncmsgr/async/denc"
	"github.com/asyncmsgr/asyncmsgr/async/mon/wire"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

var le = binary.LittleEndian

// MonServer is a Dispatcher that answers real clients as a monitor would, far
// enough for `ceph ping` and for librados to connect and run commands.
type MonServer struct {
	// Map is the monitor map it hands out.
	Map wire.MonMap
	// Status is what a ping is answered with; it has to be JSON.
	Status string
	// Execute runs a command and returns a negative errno or 0, a line for
	// people and the output. It runs on the dispatch pool. input is valid for as
	// long as it is referenced.
	Execute func(words []string, input []byte) (code int32, status string, output []byte)

	mu    sync.Mutex
	seen  map[uint16]int
	fails []error
}

// Dispatch answers m. What a monitor would not be asked by a client is not
// handled.
func (s *MonServer) Dispatch(m *msg.Message) bool {
	s.mu.Lock()
	if s.seen == nil {
		s.seen = map[uint16]int{}
	}
	s.seen[m.Type]++
	s.mu.Unlock()

	var reply *msg.Message
	switch m.Type {
	case msg.TypeMonGetMap:
		reply = &msg.Message{Type: msg.TypeMonMap, Version: 1, Front: denc.AppendBL(nil, s.Map.Append(nil))}
	case msg.TypePing:
		reply = &msg.Message{Type: msg.TypePing, Version: 1, Priority: msg.PriorityHigh,
			Front: denc.AppendString(nil, s.status())}
	case msg.TypeMonSubscribe:
		// The configuration is what clients wait for; theirs is empty here.
		reply = &msg.Message{Type: msg.TypeConfig, Version: 1, Front: le.AppendUint32(nil, 0)}
	case msg.TypeMonGetVersion:
		r := denc.NewReader(m.Front)
		b := le.AppendUint64(nil, r.U64())
		b = le.AppendUint64(b, 1)
		b = le.AppendUint64(b, 1)
		reply = &msg.Message{Type: msg.TypeMonGetVersionReply, Version: 2, Compat: 1, Front: b}
	case msg.TypeMonCommand:
		_, words, err := wire.ParseCommand(m.Front)
		if err != nil {
			s.fail(err)
			return true
		}
		const enosys = -38
		code, status, output := int32(enosys), "no commands here", []byte(nil)
		if s.Execute != nil {
			code, status, output = s.Execute(words, m.Data)
		}
		reply = wire.CommandAck(m.TID, code, status, words, output)
	default:
		return false
	}
	if err := m.Connection().Send(reply); err != nil {
		s.fail(err)
	}
	return true
}

func (s *MonServer) status() string {
	if s.Status != "" {
		return s.Status
	}
	b, err := json.Marshal(map[string]any{"mon_status": map[string]any{"name": s.Map.Mons[0].Name, "state": "leader"}})
	if err != nil {
		panic(err)
	}
	return string(b)
}

func (s *MonServer) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fails = append(s.fails, err)
}

// Seen is how many messages of a type came.
func (s *MonServer) Seen(typ uint16) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen[typ]
}

// Failures are the messages that could not be read or answered.
func (s *MonServer) Failures() []error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.fails)
}
