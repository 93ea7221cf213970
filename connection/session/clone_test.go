package session

import (
	"math/rand/v2"
	"reflect"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// The exploration goes on from one state in several ways, so it copies what a state is
// made of: all that can be reached from it, but for what nobody changes.

// shared are the types that a copy has in common with its original.
var shared = map[reflect.Type]bool{
	reflect.TypeFor[error](): true, // made once, and only read
}

// fresh are the types of which a copy has an empty one.
var fresh = map[reflect.Type]bool{
	reflect.TypeFor[Buffers](): true, // only where memory comes from
	reflect.TypeFor[failer]():  true, // the copy is run by who made it
}

// forgotten are the fields that are for messages of failures, and empty in a copy.
var forgotten = map[string]bool{
	"world.log": true, "simConn.events": true, "simConn.faults": true, "simConn.failed": true,
	"simConn.refused": true, "simConn.rejected": true, "simConn.changed": true, "simConn.got": true,
	"simNode.learned": true, "simNode.verdicts": true,
}

// inside are the types that are pointed to although they are parts of a larger one.
var inside = map[reflect.Type]bool{reflect.TypeFor[Config](): true, reflect.TypeFor[Buffers](): true}

// target is a part of the original; two of different types may begin at one address.
type target struct {
	p unsafe.Pointer
	t reflect.Type
}

type cloner struct{ made map[target]unsafe.Pointer }

// copier copies what is at src to dst, which has the bytes of src already.
type copier func(c *cloner, dst, src unsafe.Pointer)

// copiers are those that were made so far; nil: the bytes are enough.
var copiers = struct {
	sync.Mutex
	of map[reflect.Type]*copier
}{of: map[reflect.Type]*copier{}}

// cloneOf is a copy of all that can be reached from p.
func cloneOf[T any](p *T) *T {
	c := &cloner{map[target]unsafe.Pointer{}}
	return (*T)(c.pointer(unsafe.Pointer(p), reflect.TypeFor[T](), copierOf(reflect.TypeFor[T]())))
}

func (c *cloner) pointer(src unsafe.Pointer, t reflect.Type, cp *copier) unsafe.Pointer {
	key := target{src, t}
	if dst, ok := c.made[key]; ok {
		return dst
	}
	v := reflect.New(t)
	dst := v.UnsafePointer()
	c.made[key] = dst
	v.Elem().Set(reflect.NewAt(t, src).Elem())
	if cp != nil {
		(*cp)(c, dst, src)
	}
	return dst
}

// copierOf is nil for types without pointers to anything that changes.
func copierOf(t reflect.Type) *copier {
	copiers.Lock()
	defer copiers.Unlock()
	return copierFor(t)
}

// copierFor is copierOf for who has the lock.
func copierFor(t reflect.Type) *copier {
	if cp, ok := copiers.of[t]; ok {
		return cp
	}
	cp := new(copier) // for types that contain themselves
	copiers.of[t] = cp
	if *cp = makeCopier(t); *cp == nil {
		*cp = func(*cloner, unsafe.Pointer, unsafe.Pointer) {}
		copiers.of[t] = nil
	}
	return copiers.of[t]
}

func makeCopier(t reflect.Type) copier {
	switch {
	case shared[t] || t.PkgPath() == "net/netip" || t == reflect.TypeFor[time.Time]():
		return nil
	case fresh[t]:
		return func(_ *cloner, dst, _ unsafe.Pointer) { reflect.NewAt(t, dst).Elem().SetZero() }
	}
	switch t.Kind() {
	case reflect.Func, reflect.String:
		return nil
	case reflect.Pointer:
		e := t.Elem()
		cp := copierFor(e)
		return func(c *cloner, dst, src unsafe.Pointer) {
			if p := *(*unsafe.Pointer)(src); p != nil {
				*(*unsafe.Pointer)(dst) = c.pointer(p, e, cp)
			}
		}
	case reflect.Interface:
		return func(c *cloner, dst, src unsafe.Pointer) {
			v := reflect.NewAt(t, src).Elem()
			if v.IsNil() || v.Elem().Kind() != reflect.Pointer {
				return // a value in an interface does not change
			}
			e := v.Elem().Type().Elem()
			p := c.pointer(v.Elem().UnsafePointer(), e, copierOf(e))
			reflect.NewAt(t, dst).Elem().Set(reflect.NewAt(e, p))
		}
	case reflect.Slice:
		e := t.Elem()
		cp := copierFor(e)
		return func(c *cloner, dst, src unsafe.Pointer) {
			v := reflect.NewAt(t, src).Elem()
			if v.IsNil() {
				return
			}
			n := reflect.MakeSlice(t, v.Len(), v.Len())
			reflect.Copy(n, v)
			reflect.NewAt(t, dst).Elem().Set(n)
			for i := 0; cp != nil && i < v.Len(); i++ {
				(*cp)(c, n.Index(i).Addr().UnsafePointer(), v.Index(i).Addr().UnsafePointer())
			}
		}
	case reflect.Map:
		e := t.Elem()
		cp := copierFor(e)
		return func(c *cloner, dst, src unsafe.Pointer) {
			v := reflect.NewAt(t, src).Elem()
			if v.IsNil() {
				return
			}
			n := reflect.MakeMap(t)
			for it := v.MapRange(); it.Next(); {
				from, to := reflect.New(e), reflect.New(e)
				from.Elem().Set(it.Value())
				to.Elem().Set(it.Value())
				if cp != nil {
					(*cp)(c, to.UnsafePointer(), from.UnsafePointer())
				}
				n.SetMapIndex(it.Key(), to.Elem())
			}
			reflect.NewAt(t, dst).Elem().Set(n)
		}
	case reflect.Array:
		e := t.Elem()
		cp := copierFor(e)
		if cp == nil {
			return nil
		}
		return func(c *cloner, dst, src unsafe.Pointer) {
			for i := range t.Len() {
				o := uintptr(i) * e.Size()
				(*cp)(c, unsafe.Add(dst, o), unsafe.Add(src, o))
			}
		}
	case reflect.Struct:
		return structCopier(t)
	case reflect.Chan, reflect.UnsafePointer:
		panic("nobody can copy a " + t.String())
	}
	return nil
}

func structCopier(t reflect.Type) copier {
	var parts []copier
	for i := range t.NumField() {
		f := t.Field(i)
		at := f.Offset
		if forgotten[t.Name()+"."+f.Name] {
			parts = append(parts, func(_ *cloner, dst, _ unsafe.Pointer) {
				reflect.NewAt(f.Type, unsafe.Add(dst, at)).Elem().SetZero()
			})
			continue
		}
		if inside[f.Type] {
			parts = append(parts, func(c *cloner, dst, src unsafe.Pointer) {
				c.made[target{unsafe.Add(src, at), f.Type}] = unsafe.Add(dst, at)
			})
		}
		if cp := copierFor(f.Type); cp != nil {
			parts = append(parts, func(c *cloner, dst, src unsafe.Pointer) {
				(*cp)(c, unsafe.Add(dst, at), unsafe.Add(src, at))
			})
		}
	}
	if parts == nil {
		return nil
	}
	return func(c *cloner, dst, src unsafe.Pointer) {
		for _, f := range parts {
			f(c, dst, src)
		}
	}
}

// TestClone: what happens to a copy does not happen to the original, and the copy is as
// the original was.
func TestClone(t *testing.T) {
	one := raceConnect(msg.LosslessPeer(), 0)(t)
	var copies []*world
	var prints []string
	for range 40 {
		c := cloneOf(one)
		c.t = t
		copies, prints = append(copies, c), append(prints, worldPrint(one))
		require.Equal(t, prints[len(prints)-1], worldPrint(c))
		ms := one.moves()
		if len(ms) == 0 {
			break
		}
		one.do(ms[0])
	}
	raceRest(2)(one)
	end := worldPrint(one)
	for i, c := range copies {
		require.Equal(t, prints[i], worldPrint(c))
		for ms := c.moves(); len(ms) > 0; ms = c.moves() {
			c.do(ms[0])
		}
		raceRest(2)(c)
		require.Equal(t, end, worldPrint(c))
		require.Same(t, c, c.nodes[0].conns[0].n.w)
		require.Same(t, &c.nodes[1].cfg, c.nodes[1].conns[0].s.cfg, "it points into the copy")
		if i+1 < len(copies) {
			require.Equal(t, prints[i+1], worldPrint(copies[i+1]), "the next one is untouched")
		}
	}
	r := rand.New(rand.NewPCG(1, 2))
	q := cloneOf(r)
	require.Equal(t, r.Uint64(), q.Uint64())
}

// worldPrint is the fingerprints of the nodes of w, and what is in flight.
func worldPrint(w *world) string {
	p := printer{now: w.now}
	for _, n := range w.nodes {
		n.print(&p, nil)
	}
	for _, x := range w.wires {
		for _, e := range x.ends {
			p.num(uint64(len(e.in)))
			for _, b := range e.in {
				p.b = append(p.b, b...)
			}
		}
	}
	return string(p.b)
}
