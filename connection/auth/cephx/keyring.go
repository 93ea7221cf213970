package cephx

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
)

// Keyring has the keys of entities, as Ceph's keyring files do. The zero Keyring is
// empty.
type Keyring struct {
	keys map[entity.AuthName]Key
	caps map[capsOf]string
}

// capsOf is of whom capabilities are, and with which service.
type capsOf struct {
	name    entity.AuthName
	service string
}

// The bounds of a keyring file: a longer line or more entities are an error.
const (
	keyringLineMax     = 64 << 10
	keyringEntitiesMax = 10_000
	capsEachMax        = 8 // on the average
)

// ErrKeyring is wrapped by the errors of ReadKeyring.
var ErrKeyring = errors.New("cephx: keyring")

// ReadKeyring reads a keyring file: sections with the name of an entity, and in each of
// them options, of which key and caps are looked at. An error names the line.
//
//	[client.admin]
//		key = AQ...==
//		caps mon = "allow *"
func ReadKeyring(r io.Reader) (*Keyring, error) {
	k := &Keyring{keys: map[entity.AuthName]Key{}, caps: map[capsOf]string{}}
	var name entity.AuthName
	inside, line := false, 0
	fail := func(format string, args ...any) (*Keyring, error) {
		return nil, fmt.Errorf("%w: line %d: %w", ErrKeyring, line, fmt.Errorf(format, args...))
	}
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, keyringLineMax)
	for line = 1; sc.Scan(); line++ {
		text := strings.TrimSpace(sc.Text())
		if text == "" || text[0] == '#' || text[0] == ';' {
			continue
		}
		if section, ok := strings.CutPrefix(text, "["); ok {
			section, ok = strings.CutSuffix(section, "]")
			var err error
			if name, err = entity.ParseAuthName(section); !ok || err != nil {
				return fail("a section that is not the name of an entity, such as [client.admin]")
			}
			inside = true
			continue
		}
		option, value, ok := strings.Cut(text, "=")
		words := strings.Fields(option)
		switch {
		case !ok || len(words) == 0 || words[0] == "key" && len(words) > 1: // which has an = at its end
			return fail("neither a section nor an option with its value, such as key = AQ...==")
		case !inside:
			return fail("an option before the first section")
		}
		value = strings.Trim(strings.TrimSpace(value), `"`)
		if words[0] == "caps" && len(words) == 2 {
			if len(k.caps) == keyringEntitiesMax*capsEachMax {
				return fail("more than %d capabilities", keyringEntitiesMax*capsEachMax)
			}
			k.caps[capsOf{name, words[1]}] = value
		}
		if words[0] != "key" {
			continue
		}
		if _, again := k.keys[name]; again {
			return fail("%s has a key already", name)
		}
		if len(k.keys) == keyringEntitiesMax {
			return fail("more than %d entities", keyringEntitiesMax)
		}
		key, err := ParseKey(value)
		if err != nil {
			return fail("%s: %w", name, err)
		}
		k.keys[name] = key
	}
	if err := sc.Err(); err != nil {
		return fail("%w", err)
	}
	return k, nil
}

// Key returns the key of an entity. Monitors, mon.a and so on, share the one of "mon.".
func (k *Keyring) Key(name entity.AuthName) (Key, bool) {
	key, ok := k.keys[name]
	if !ok && name.Type == entity.TypeMon {
		key, ok = k.keys[entity.AuthName{Type: entity.TypeMon}]
	}
	return key, ok
}

// Find is Key, with a *KeyError, which names who there is, if there is none.
func (k *Keyring) Find(name entity.AuthName) (Key, error) {
	if key, ok := k.Key(name); ok {
		return key, nil
	}
	return nil, &KeyError{Name: name, Has: k.Names()}
}

// Caps is what an entity may do with a service, as its keyring says: "allow *" and so on;
// "" if it says nothing.
func (k *Keyring) Caps(name entity.AuthName, service entity.Type) string {
	return k.caps[capsOf{name, service.String()}]
}

// Names are the entities that have a key, in the order of their names.
func (k *Keyring) Names() []entity.AuthName {
	names := make([]entity.AuthName, 0, len(k.keys))
	for n := range k.keys {
		names = append(names, n)
	}
	slices.SortFunc(names, func(a, b entity.AuthName) int { return strings.Compare(a.String(), b.String()) })
	return names
}
