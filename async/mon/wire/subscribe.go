package wire

import (
	"fmt"
	"slices"

	"github.com/asyncmsgr/asyncmsgr/async/denc"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// Types of messages that are not in async/msg.
const (
	TypeOSDMap     = 41
	TypeOSDOp      = 42
	TypeOSDOpReply = 43
	TypeOSDBackoff = 61
)

// Sub is what is wanted of a map: that of epoch Start and all that follow, and if Start is 0
// the newest one, whole, and those that follow.
type Sub struct {
	What  string // "monmap", "osdmap", "config", ...
	Start uint64
	Once  bool // one answer, and no more
}

// GetMap asks a monitor for the monitor map (MMonGetMap).
func GetMap() *msg.Message { return &msg.Message{Type: msg.TypeMonGetMap, Version: 1} }

// Subscribe asks a monitor for maps (MMonSubscribe). host is this one's name, for people.
//
//	u32 count | string what, u64 start, u8 once ... | string host
func Subscribe(subs []Sub, host string) *msg.Message {
	subs = slices.Clone(subs)
	slices.SortFunc(subs, func(a, b Sub) int {
		if a.What < b.What {
			return -1
		}
		return 1
	})
	b := le.AppendUint32(nil, uint32(len(subs)))
	for _, s := range subs {
		b = denc.AppendString(b, s.What)
		b = le.AppendUint64(b, s.Start)
		b = denc.AppendBool(b, s.Once)
	}
	return &msg.Message{Type: msg.TypeMonSubscribe, Version: 3, Compat: 1, Front: denc.AppendString(b, host)}
}

// ParseSubscribe reads a MMonSubscribe, of which a monitor is asked at most subsMax maps.
func ParseSubscribe(front []byte) (subs []Sub, err error) {
	const subsMax = 64
	r := denc.NewReader(front)
	for range r.Count(13, subsMax) {
		subs = append(subs, Sub{What: r.String(), Start: r.U64(), Once: r.U8()&1 != 0})
	}
	return subs, r.Err()
}

// MapBytes is a map, or the change from the one before, as the monitor encodes it.
type MapBytes struct {
	Epoch uint32
	Bytes []byte
}

// OSDMap is a MOSDMap: maps of OSDs by their epochs, ascending, whole or as changes from the
// one before.
type OSDMap struct {
	FSID        UUID
	Incremental []MapBytes
	Full        []MapBytes
	// Oldest and Newest are the epochs that the monitor has.
	Oldest, Newest uint32
}

// osdMapsMax bounds the maps in one message: a monitor sends 40 at a time.
const osdMapsMax = 4096

// ParseOSDMap reads a MOSDMap. The bytes of the maps alias front.
//
//	fsid | u32 n, n x {u32 epoch, bl change} | u32 n, n x {u32 epoch, bl map} | u32 oldest | u32 newest | ...
func ParseOSDMap(front []byte) (m OSDMap, err error) {
	r := denc.NewReader(front)
	copy(m.FSID[:], r.Bytes(len(m.FSID)))
	m.Incremental, m.Full = parseMaps(&r), parseMaps(&r)
	m.Oldest, m.Newest = r.U32(), r.U32()
	return m, r.Err()
}

func parseMaps(r *denc.Reader) (maps []MapBytes) {
	for range r.Count(8, osdMapsMax) {
		m := MapBytes{Epoch: r.U32(), Bytes: r.BL()}
		if n := len(maps); n > 0 && maps[n-1].Epoch >= m.Epoch {
			r.Fail(fmt.Errorf("%w: epoch %d behind %d", denc.ErrValue, m.Epoch, maps[n-1].Epoch))
			return nil
		}
		maps = append(maps, m)
	}
	return maps
}

// Message is m as a message of a monitor, as Ceph 16.2 has it.
func (m OSDMap) Message() *msg.Message {
	b := append([]byte(nil), m.FSID[:]...)
	for _, maps := range [][]MapBytes{m.Incremental, m.Full} {
		b = le.AppendUint32(b, uint32(len(maps)))
		for _, x := range maps {
			b = denc.AppendBL(le.AppendUint32(b, x.Epoch), x.Bytes)
		}
	}
	b = le.AppendUint32(b, m.Oldest)
	b = le.AppendUint32(b, m.Newest)
	b = le.AppendUint32(b, 0)
	return &msg.Message{Type: TypeOSDMap, Version: 4, Compat: 3, Front: b}
}
