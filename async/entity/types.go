package entity

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
)

// typeNameMax is how long the name of a type may be, in bytes.
const typeNameMax = 32

// ErrTypeTaken: the number or the name of a type is another's. Errors of RegisterType wrap it;
// compare with errors.Is.
var ErrTypeTaken = errors.New("entity: type is taken")

// typeNames are the names of types, one state of them, never changed: at most 256, which is how
// many types there are.
type typeNames struct {
	names [256]string // "": none
	types map[string]Type
}

// cephTypes are those that cannot be registered.
var cephTypes = newTypeNames(map[Type]string{
	TypeMon: "mon", TypeMDS: "mds", TypeOSD: "osd", TypeClient: "client", TypeMgr: "mgr",
	TypeAuth: "auth", TypeAny: "any",
})

// knownTypes are those and the registered ones.
var knownTypes atomic.Pointer[typeNames]

func init() { knownTypes.Store(cephTypes) }

func newTypeNames(names map[Type]string) *typeNames {
	x := &typeNames{types: map[string]Type{}}
	for t, name := range names {
		x.set(t, name)
	}
	return x
}

func (x *typeNames) set(t Type, name string) {
	x.names[t], x.types[name] = name, t
}

// with is x and one more.
func (x *typeNames) with(t Type, name string) *typeNames {
	more := &typeNames{names: x.names, types: make(map[string]Type, len(x.types)+1)}
	for n, of := range x.types {
		more.types[n] = of
	}
	more.set(t, name)
	return more
}

// RegisterType gives a type of one's own a name, for the whole process: "raft", say, so that
// Name{t, 3} prints as "raft.3" and parses as that. It is only a text, and does not go over the
// wire, where there is the number; a process that has not registered it prints "type64". Do so
// before names are parsed, in an init function for example. There is no way back.
//
// A name has 1 to 32 bytes of lower-case letters, digits, '-' and '_', begins with a letter, and
// does not look like "type7". Numbers and names that are Ceph's, or registered already, also the
// very same, are refused with an error that wraps ErrTypeTaken; so is the number 0, which stands for
// a peer that has not said who it is. Any goroutine.
func RegisterType(t Type, name string) error {
	if err := checkTypeName(name); err != nil {
		return err
	}
	if t == 0 {
		return fmt.Errorf("%w: 0 stands for a peer that is not known, and cannot be %q", ErrTypeTaken, name)
	}
	for {
		x := knownTypes.Load()
		if old := x.names[t]; old != "" {
			return fmt.Errorf("%w: %d is %q, and cannot be %q", ErrTypeTaken, t, old, name)
		}
		if old, ok := x.types[name]; ok {
			return fmt.Errorf("%w: %q is %d, and cannot be %d", ErrTypeTaken, name, old, t)
		}
		if knownTypes.CompareAndSwap(x, x.with(t, name)) {
			return nil
		}
	}
}

func checkTypeName(name string) error {
	if name == "" || len(name) > typeNameMax {
		return fmt.Errorf("entity: a type's name has 1 to %d bytes, and %q %d", typeNameMax, name, len(name))
	}
	for i, b := range []byte(name) {
		letter := 'a' <= b && b <= 'z'
		if !letter && (i == 0 || b != '-' && b != '_' && (b < '0' || b > '9')) {
			return fmt.Errorf("entity: a type's name is of a-z, 0-9, - and _, and begins with a letter: %q", name)
		}
	}
	if num, ok := strings.CutPrefix(name, "type"); ok && strings.Trim(num, "0123456789") == "" {
		return fmt.Errorf("entity: %q is what a type without a name prints as", name)
	}
	return nil
}

// String is "mon", "mds", "osd", "client", "mgr", "auth" or "any", the name that was given to
// RegisterType, or "type7" for a number without a name.
func (t Type) String() string {
	if name := knownTypes.Load().names[t]; name != "" {
		return name
	}
	return "type" + strconv.Itoa(int(t))
}

// ParseType is the inverse of String. A registered type may be written as a number too,
// "type64", as those print it who have not registered it.
func ParseType(s string) (Type, error) {
	x := knownTypes.Load()
	if t, ok := x.types[s]; ok {
		return t, nil
	}
	if num, ok := strings.CutPrefix(s, "type"); ok {
		n, err := strconv.ParseUint(num, 10, 8)
		if err == nil && strconv.Itoa(int(n)) == num && cephTypes.names[n] == "" {
			return Type(n), nil
		}
	}
	return 0, fmt.Errorf("entity: %q is not an entity type", s)
}

// MarshalText is String.
func (t Type) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText is ParseType.
func (t *Type) UnmarshalText(b []byte) (err error) {
	*t, err = ParseType(string(b))
	return err
}
