package simulate

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// header is the front of every message here: which flow, which number in it, and
// the checksum of what the system itself says, which is in Data.
type header struct {
	flowKey
	to  uint32
	num uint64
	crc uint32
}

// flowKey names what keeps its order: the messages of one priority on one
// connection of the sender.
type flowKey struct {
	from, life uint32 // the sender, and which of its lives
	conn       uint64 // the sender's connection
	priority   uint8
}

func (k flowKey) String() string {
	return fmt.Sprintf("node %d.%d conn %d priority %d", k.from, k.life, k.conn, k.priority)
}

const headerLen = 4 + 4 + 8 + 1 + 4 + 8 + 4

var (
	le         = binary.LittleEndian
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

func (h *header) put(b []byte) {
	le.PutUint32(b, h.from)
	le.PutUint32(b[4:], h.life)
	le.PutUint64(b[8:], h.conn)
	b[16] = h.priority
	le.PutUint32(b[17:], h.to)
	le.PutUint64(b[21:], h.num)
	le.PutUint32(b[29:], h.crc)
}

// parse reads the header of a message; false: it is none, or Data is not what was sent.
func (h *header) parse(m *msg.Message) bool {
	b := m.Front
	if len(b) != headerLen {
		return false
	}
	h.from, h.life, h.conn, h.priority = le.Uint32(b), le.Uint32(b[4:]), le.Uint64(b[8:]), b[16]
	h.to, h.num, h.crc = le.Uint32(b[17:]), le.Uint64(b[21:]), le.Uint32(b[29:])
	return h.crc == checksum(m.Type, m.Data) && h.priority == m.Priority
}

func checksum(typ uint16, data []byte) uint32 {
	return crc32.Update(uint32(typ), castagnoli, data)
}
