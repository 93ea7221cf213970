package session

import (
	"encoding/binary"
	"fmt"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// The exploration visits each state of the world once, so the fingerprint of a session
// has to tell apart what can go on in different ways: it is made of all fields that can be
// reached from it, but for those of notInFingerprint.

// notInFingerprint are the fields that are left out, and why.
var notInFingerprint = map[string]string{
	"Session.cfg":      "all sessions of a node share it, and it does not change",
	"Session.env":      "the node, which has a fingerprint of its own",
	"Session.gate":     "the simConn, likewise",
	"Session.conn":     "constant, and only handed on",
	"Session.rcpt":     "likewise",
	"Session.bufs":     "only where memory comes from",
	"Decoder.rawPre":   "a memory of what was read, which only makes reading fast",
	"Encoder.lens":     "likewise",
	"Encoder.preamble": "likewise",
	"Encoder.cipher":   "the method none has none",
	"Decoder.cipher":   "likewise",
	"handshake.client": "what the method none keeps is constant",
	"handshake.server": "likewise",
	"handshake.step":   "it is not slow either",
	"fifo.head":        "how much is empty before the items",
	"Decoder.err":      "it is returned when it is set, and ends the connection",
	"Encoder.spent":    "nobody sends so much",
	"seldom.breakErr":  "it is only handed on",
}

// moments are the fields that are a time of day: what counts is how far off it is. Other
// durations are lengths.
var moments = map[string]bool{
	"Session.deadline": true, "keepalive.alive": true, "keepalive.sent": true, "acks.since": true,
	"seldom.soonest": true, "seldom.notBefore": true, "seldom.since": true, "seldom.refusedBy": true,
}

var lengths = map[string]bool{"seldom.backoff": true}

var (
	durationType = reflect.TypeFor[time.Duration]()
	messageType  = reflect.TypeFor[*msg.Message]()
)

// printer writes fingerprints.
type printer struct {
	b   []byte
	now time.Duration
}

func (p *printer) num(x uint64) { p.b = binary.AppendUvarint(p.b, x) }

// value appends v. What it cannot see through is a mistake: name it in notInFingerprint.
func (p *printer) value(path string, v reflect.Value) {
	switch t := v.Type(); {
	case t == messageType:
		if !v.IsNil() {
			v = v.Elem().FieldByName("TID") // the payload follows from it
		} else {
			v = reflect.ValueOf(uint64(0))
		}
	case t == durationType && moments[path]:
		at := time.Duration(v.Int())
		if p.num(boolNum(at != 0)); at != 0 {
			p.b = binary.AppendVarint(p.b, int64(at-p.now))
		}
		return
	case t == durationType && !lengths[path]:
		panic(path + " is neither a moment nor a length")
	}
	switch v.Kind() {
	case reflect.Bool:
		p.num(boolNum(v.Bool()))
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		p.b = binary.AppendVarint(p.b, v.Int())
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		p.num(v.Uint())
	case reflect.String:
		p.num(uint64(v.Len()))
		p.b = append(p.b, v.String()...)
	case reflect.Slice, reflect.Array:
		p.num(uint64(v.Len()))
		if v.Type().Elem().Kind() == reflect.Uint8 && v.Kind() == reflect.Slice {
			p.b = append(p.b, v.Bytes()...)
			return
		}
		for i := range v.Len() {
			p.value(path, v.Index(i))
		}
	case reflect.Pointer, reflect.Interface:
		if p.num(boolNum(!v.IsNil())); !v.IsNil() {
			if v.Kind() == reflect.Interface {
				p.b = append(p.b, v.Elem().Type().String()...)
			}
			p.value(path, v.Elem())
		}
	case reflect.Struct:
		if v.Type().PkgPath() == "net/netip" {
			p.b = fmt.Append(p.b, v, ";")
			return
		}
		p.fields(v)
	default:
		panic(fmt.Sprintf("%s is a %s", path, v.Type()))
	}
}

func (p *printer) fields(v reflect.Value) {
	for _, f := range printed(v.Type()) {
		p.value(f.path, v.Field(f.i))
	}
}

// printedField is a field that is in the fingerprint.
type printedField struct {
	path string
	i    int
}

var printedFields sync.Map // reflect.Type -> []printedField

func printed(t reflect.Type) []printedField {
	if fs, ok := printedFields.Load(t); ok {
		return fs.([]printedField)
	}
	var fs []printedField
	for i := range t.NumField() {
		path := t.Name() + "." + t.Field(i).Name
		if _, out := notInFingerprint[path]; !out {
			fs = append(fs, printedField{path, i})
		}
	}
	printedFields.Store(t, fs)
	return fs
}

func boolNum(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

// fingerprint is all that the future of s depends on.
func (s *Session) fingerprint(now time.Duration) string {
	p := printer{now: now}
	p.fields(reflect.ValueOf(s).Elem())
	return string(p.b)
}

// everything is a session of which every pointer leads somewhere and no slice is empty.
func everything() *Session {
	m := &msg.Message{TID: 1}
	return &Session{
		seldom: new(seldom), out: &outputs{list: []Output{{Kind: OutClosed, Msg: m, Err: ErrStale}}},
		stream: stream{hs: new(handshake), body: m},
		box: outbox{
			sent:  fifo{items: []sending{{m: m}}},
			queue: outQueue{n: 1, levels: []level{{q: fifo{items: []sending{{m: m}}}}}},
		},
	}
}

// TestFingerprint: each field that can be reached from a session changes its fingerprint,
// or is named among those that do not.
func TestFingerprint(t *testing.T) {
	s := everything()
	before, seen, flipped := s.fingerprint(5), map[string]bool{}, 0
	var walk func(v reflect.Value)
	flip := func(path string, v reflect.Value) {
		old := reflect.New(v.Type()).Elem()
		old.Set(v)
		switch v.Kind() {
		case reflect.Bool:
			v.SetBool(!v.Bool())
		case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
			v.SetInt(v.Int() + 1)
		case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
			v.SetUint(v.Uint() + 1)
		case reflect.String:
			v.SetString(v.String() + "x")
		default:
			v.SetZero()
		}
		require.NotEqual(t, before, s.fingerprint(5), "%s is not in the fingerprint", path)
		v.Set(old)
		require.Equal(t, before, s.fingerprint(5), path)
		flipped++
	}
	walk = func(v reflect.Value) {
		for i := range v.NumField() {
			path := v.Type().Name() + "." + v.Type().Field(i).Name
			if _, out := notInFingerprint[path]; out || moments[path] || lengths[path] {
				seen[path] = true
			}
			if _, out := notInFingerprint[path]; out {
				continue
			}
			f := reflect.NewAt(v.Field(i).Type(), v.Field(i).Addr().UnsafePointer()).Elem()
			switch f.Kind() {
			case reflect.Struct:
				if f.Type().PkgPath() != "net/netip" {
					walk(f)
				}
			case reflect.Pointer, reflect.Interface:
				if f.IsNil() {
					continue
				}
				if f.Kind() == reflect.Pointer && f.Type() != messageType {
					walk(f.Elem())
				}
				flip(path, f)
			case reflect.Slice:
				if f.Len() > 0 {
					if f.Index(0).Kind() == reflect.Struct {
						walk(f.Index(0))
					}
					flip(path, f)
				}
			case reflect.Array:
				if last := f.Index(f.Len() - 1); last.Kind() == reflect.Struct {
					walk(last)
				} else {
					flip(path, last)
				}
			default:
				flip(path, f)
			}
		}
	}
	walk(reflect.ValueOf(s).Elem())
	t.Logf("%d fields", flipped)
	for path := range notInFingerprint {
		require.True(t, seen[path], "there is no field %s", path)
	}
	for path := range moments {
		require.True(t, seen[path], "there is no field %s", path)
	}
}
