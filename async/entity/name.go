package entity

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"github.com/asyncmsgr/asyncmsgr/async/denc"
)

// Type is the kind of an entity (docs/PROTOCOL.md 1.7). A system of its own may use Ceph's, or
// others, and give those names (RegisterType).
type Type uint8

// The entity types of Ceph.
const (
	TypeMon    Type = 1
	TypeMDS    Type = 2
	TypeOSD    Type = 4
	TypeClient Type = 8
	TypeMgr    Type = 0x10
	TypeAuth   Type = 0x20
	TypeAny    Type = 0xff
)

// Name is who an entity is: "osd.3", "mon.0", "client.4123" (Ceph's entity_name_t).
type Name struct {
	Type Type
	Num  int64
}

// NumNew is the number of an entity that has none yet: a client before the
// monitor gave it a global id. It prints as "?".
const NumNew = -1

// OSD is the name osd.n.
func OSD(n int64) Name { return Name{TypeOSD, n} }

// Mon is the name mon.n.
func Mon(n int64) Name { return Name{TypeMon, n} }

// MDS is the name mds.n.
func MDS(n int64) Name { return Name{TypeMDS, n} }

// Mgr is the name mgr.n.
func Mgr(n int64) Name { return Name{TypeMgr, n} }

// Client is the name client.n.
func Client(n int64) Name { return Name{TypeClient, n} }

// String is the type, a dot and the number: "osd.3"; "client.?" for NumNew.
func (n Name) String() string {
	if n.Num == NumNew {
		return n.Type.String() + ".?"
	}
	return n.Type.String() + "." + strconv.FormatInt(n.Num, 10)
}

// ParseName is the inverse of String.
func ParseName(s string) (Name, error) {
	typ, num, ok := strings.Cut(s, ".")
	if !ok {
		return Name{}, fmt.Errorf("entity: name %q has no dot", s)
	}
	t, err := ParseType(typ)
	if err != nil {
		return Name{}, err
	}
	if num == "?" {
		return Name{t, NumNew}, nil
	}
	n, err := strconv.ParseInt(num, 10, 64)
	if err != nil {
		return Name{}, fmt.Errorf("entity: name %q: %w", s, err)
	}
	return Name{t, n}, nil
}

// MarshalText is String.
func (n Name) MarshalText() ([]byte, error) { return []byte(n.String()), nil }

// UnmarshalText is ParseName.
func (n *Name) UnmarshalText(b []byte) (err error) {
	*n, err = ParseName(string(b))
	return err
}

// Append appends the wire form: u8 type, s64 number (docs/PROTOCOL.md 1.1).
//
// Implementation: not for users of the library; may change in any release.
func (n Name) Append(dst []byte) []byte {
	return binary.LittleEndian.AppendUint64(append(dst, byte(n.Type)), uint64(n.Num))
}

// ConsumeName consumes the wire form of a Name.
//
// Implementation: not for users of the library; may change in any release.
func ConsumeName(r *denc.Reader) Name {
	return Name{Type: Type(r.U8()), Num: r.S64()}
}

// AuthName is the name an entity authenticates with: "client.admin", "osd.3"
// (Ceph's EntityName). Unlike a Name, its id is a string.
type AuthName struct {
	Type Type
	ID   string
}

// String is the type, a dot and the id.
func (a AuthName) String() string { return a.Type.String() + "." + a.ID }

// ParseAuthName is the inverse of String. The id may contain dots.
func ParseAuthName(s string) (AuthName, error) {
	typ, id, ok := strings.Cut(s, ".")
	if !ok {
		return AuthName{}, fmt.Errorf("entity: auth name %q has no dot", s)
	}
	t, err := ParseType(typ)
	if err != nil {
		return AuthName{}, err
	}
	return AuthName{t, id}, nil
}

// MarshalText is String.
func (a AuthName) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText is ParseAuthName.
func (a *AuthName) UnmarshalText(b []byte) (err error) {
	*a, err = ParseAuthName(string(b))
	return err
}

// Append appends the wire form: u32 type, string id (docs/PROTOCOL.md 1.1).
//
// Implementation: not for users of the library; may change in any release.
func (a AuthName) Append(dst []byte) []byte {
	return denc.AppendString(binary.LittleEndian.AppendUint32(dst, uint32(a.Type)), a.ID)
}

// ConsumeAuthName consumes the wire form of an AuthName. A type beyond 255 is
// an error (denc.ErrValue).
//
// Implementation: not for users of the library; may change in any release.
func ConsumeAuthName(r *denc.Reader) AuthName {
	t, id := r.U32(), r.String()
	if t > 255 {
		r.Fail(fmt.Errorf("%w: entity type %d", denc.ErrValue, t))
		return AuthName{}
	}
	return AuthName{Type(t), id}
}
