package node

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Types of the messages of the store: 0xE200 to 0xE23F.
const (
	typeHello   = 0xE200 // hello, JSON both ways
	typeMap     = 0xE201 // a newer map, JSON; the answer is empty
	typePrepare = 0xE202 // the two rounds in which a map is agreed
	typeAccept  = 0xE203

	typeRead  = 0xE210 // of one copy
	typeStore = 0xE211
	typeScan  = 0xE212
	typeFetch = 0xE213

	typeGet    = 0xE220 // of clients
	typePut    = 0xE221
	typeList   = 0xE222
	typeStatus = 0xE223
)

// What a copy, or an acceptor, answers first.
const (
	answerOK     = iota // followed by the answer
	answerNewer         // the asker's map is old: followed by the newer one
	answerBehind        // the asked one's map is old: send it
	answerOther         // another life than the one that was asked answers
	answerFull          // no room
	answerNo            // followed by why
)

// errShort is a message that ends too early, or too late.
var errShort = errors.New("node: malformed message")

// reader takes a message apart; after an error all it gives is zero.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) u64() uint64 {
	if len(r.b) < 8 {
		r.bad, r.b = true, nil
		return 0
	}
	x := binary.LittleEndian.Uint64(r.b)
	r.b = r.b[8:]
	return x
}

func (r *reader) u8() byte {
	if len(r.b) < 1 {
		r.bad = true
		return 0
	}
	x := r.b[0]
	r.b = r.b[1:]
	return x
}

// bytes is a length of 32 bits and that many bytes, which alias the message.
func (r *reader) bytes() []byte {
	if len(r.b) < 4 {
		r.bad, r.b = true, nil
		return nil
	}
	n := binary.LittleEndian.Uint32(r.b)
	if uint64(n) > uint64(len(r.b)-4) {
		r.bad, r.b = true, nil
		return nil
	}
	x := r.b[4 : 4+n : 4+n]
	r.b = r.b[4+n:]
	return x
}

func (r *reader) version() Version { return Version{r.u64(), r.u64()} }

// object reads what appendObject wrote; the value aliases the message.
func (r *reader) object() Object {
	return Object{Key: string(r.bytes()), Version: r.version(), Deleted: r.u8() != 0, Value: r.bytes()}
}

// end is the error of all that was read: the message has to end here.
func (r *reader) end() error {
	if r.bad || len(r.b) > 0 {
		return errShort
	}
	return nil
}

func appendU64(b []byte, x uint64) []byte { return binary.LittleEndian.AppendUint64(b, x) }

func appendBytes[T string | []byte](b []byte, x T) []byte {
	return append(binary.LittleEndian.AppendUint32(b, uint32(len(x))), x...)
}

func appendVersion(b []byte, v Version) []byte { return appendU64(appendU64(b, v.Counter), v.Writer) }

func appendBool(b []byte, x bool) []byte {
	if x {
		return append(b, 1)
	}
	return append(b, 0)
}

func appendObject(b []byte, o Object) []byte {
	b = appendVersion(appendBytes(b, o.Key), o.Version)
	return appendBytes(appendBool(b, o.Deleted), o.Value)
}

// checkObject is for objects from outside.
func checkObject(o Object) error {
	if o.Key == "" || len(o.Key) > KeyMax || len(o.Value) > ValueMax {
		return fmt.Errorf("%w: key of %d bytes (1 to %d), value of %d (at most %d)",
			ErrTooLarge, len(o.Key), KeyMax, len(o.Value), ValueMax)
	}
	return nil
}
