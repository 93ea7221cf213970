package wire

import (
	"cmp"
	"fmt"
	"math/bits"

	"github.com/asyncmsgr/asyncmsgr/async/denc"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// What a MOSDBackoff says.
const (
	BackoffBlock    uint8 = 1 // the OSD holds back operations on a range of objects
	BackoffAckBlock uint8 = 2 // the client has taken note
	BackoffUnblock  uint8 = 3 // they may be sent again
)

// PG is a placement group.
type PG struct {
	Pool int64
	Seed uint32
}

// NoSnap is the Snap of an object as it is now, and no snapshot of it.
const NoSnap = noSnap

// ObjectID is an object's place in the order of all objects of a pool.
type ObjectID struct {
	Key, Name, Namespace string
	Snap                 uint64
	Hash                 uint32
	Max                  bool // behind all others
	Pool                 int64
}

// Compare is negative if o comes before p. The bits of hashes count from the lowest one, so
// that the objects of a placement group are beside each other.
func (o ObjectID) Compare(p ObjectID) int {
	if o.Max || p.Max {
		return truth(o.Max) - truth(p.Max)
	}
	return cmp.Or(
		cmp.Compare(o.Pool, p.Pool),
		cmp.Compare(bits.Reverse32(o.Hash), bits.Reverse32(p.Hash)),
		cmp.Compare(o.Namespace, p.Namespace),
		cmp.Compare(cmp.Or(o.Key, o.Name), cmp.Or(p.Key, p.Name)),
		cmp.Compare(o.Name, p.Name),
		cmp.Compare(o.Snap, p.Snap),
	)
}

func truth(b bool) int {
	if b {
		return 1
	}
	return 0
}

// OSDBackoff is a MOSDBackoff: the objects of PG from Begin to before End; Begin alone, if they
// are equal.
type OSDBackoff struct {
	PG    PG
	Shard uint8  // 0xff: none
	Epoch uint32 // of the OSD map
	Op    uint8
	// ID is the OSD's number of the block, the same in the answer and in the unblock.
	ID         uint64
	Begin, End ObjectID
}

// Covers says whether o is in the range.
func (b OSDBackoff) Covers(o ObjectID) bool {
	from := b.Begin.Compare(o)
	return from == 0 || from < 0 && o.Compare(b.End) < 0
}

// nameMax bounds each of the three strings of an ObjectID; OSDs take names of 2048 bytes.
const nameMax = 4096

// ParseOSDBackoff reads a MOSDBackoff, version 1.
//
//	{placement group, u8 shard} | u32 epoch | u8 op | u64 id | object begin | object end
func ParseOSDBackoff(front []byte) (b OSDBackoff, err error) {
	r := denc.NewReader(front)
	_, pg := r.Struct(1)
	pg.U8()
	b.PG = PG{Pool: pg.S64(), Seed: pg.U32()}
	pg.U32()
	b.Shard = pg.U8()
	r.Join(&pg)
	b.Epoch, b.Op, b.ID = r.U32(), r.U8(), r.U64()
	b.Begin, b.End = consumeObjectID(&r), consumeObjectID(&r)
	return b, r.Err()
}

func consumeObjectID(r *denc.Reader) (o ObjectID) {
	_, body := r.Struct(4)
	for _, s := range []*string{&o.Key, &o.Name} {
		*s = consumeName(&body)
	}
	o.Snap, o.Hash, o.Max = body.U64(), body.U32(), body.U8() != 0
	o.Namespace = consumeName(&body)
	o.Pool = body.S64()
	r.Join(&body)
	return o
}

func consumeName(r *denc.Reader) string {
	b := r.BL()
	if len(b) > nameMax {
		r.Fail(fmt.Errorf("wire: a name of %d bytes", len(b)))
		return ""
	}
	return string(b)
}

// priorityBackoff is what Ceph gives it: it comes before all operations.
const priorityBackoff = 127

// Message is b as a message.
func (b OSDBackoff) Message() *msg.Message {
	f := denc.AppendStructHeader(make([]byte, 0, 128), 1, 1, 18)
	f = append(appendPG(f, b.PG.Pool, b.PG.Seed), b.Shard)
	f = le.AppendUint32(f, b.Epoch)
	f = append(f, b.Op)
	f = le.AppendUint64(f, b.ID)
	for _, o := range []ObjectID{b.Begin, b.End} {
		var mark int
		f, mark = denc.BeginStruct(f, 4, 3)
		f = denc.AppendString(f, o.Key)
		f = denc.AppendString(f, o.Name)
		f = le.AppendUint64(f, o.Snap)
		f = le.AppendUint32(f, o.Hash)
		f = denc.AppendBool(f, o.Max)
		f = denc.AppendString(f, o.Namespace)
		f = le.AppendUint64(f, uint64(o.Pool))
		f = denc.EndStruct(f, mark)
	}
	return &msg.Message{Type: TypeOSDBackoff, Version: 1, Compat: 1, Priority: priorityBackoff, Front: f}
}
