package entity

import "net/netip"

// Index says who stands under which addresses. It is a plain data structure: who
// uses it guards it. The zero value is ready.
//
// One address of a vector finds who was put in under the whole vector. An address of
// any nonce finds who was put in last at that place. Who was put in under an address
// of any nonce is found under each address at that place which nobody else has: it
// is whoever listens there.
//
// Implementation: not for users of the library; may change in any release.
type Index[T comparable] struct {
	byAddr  map[Addr]T // by Normal addresses, AnyNonce ones included
	byPlace map[netip.AddrPort]T
}

// Lookup returns who stands under one of v's addresses.
func (x *Index[T]) Lookup(v AddrVec) (t T, ok bool) {
	for _, a := range v {
		if t, ok = x.byAddr[a.Normal()]; ok {
			return t, true
		}
	}
	for _, a := range v {
		if a = a.Normal(); a.AnyNonce {
			t, ok = x.byPlace[a.AddrPort]
		} else {
			t, ok = x.byAddr[a.WithAnyNonce()]
		}
		if ok {
			return t, true
		}
	}
	return t, false
}

// Put puts t in under the addresses of v, besides those it has. Addresses that
// somebody else has are left to them; blank ones count for nothing.
func (x *Index[T]) Put(v AddrVec, t T) {
	if x.byAddr == nil {
		x.byAddr, x.byPlace = map[Addr]T{}, map[netip.AddrPort]T{}
	}
	for _, a := range v {
		a = a.Normal()
		if other, taken := x.byAddr[a]; a.IsBlank() || taken && other != t {
			continue
		}
		x.byAddr[a] = t
		if a.AddrPort.Port() != 0 { // who does not listen is at no place
			x.byPlace[a.AddrPort] = t
		}
	}
}

// Remove takes t away from under the addresses of v.
func (x *Index[T]) Remove(v AddrVec, t T) {
	for _, a := range v {
		a = a.Normal()
		if x.byAddr[a] == t {
			delete(x.byAddr, a)
		}
		if x.byPlace[a.AddrPort] == t {
			delete(x.byPlace, a.AddrPort)
		}
	}
}

// Len is how many addresses are known.
func (x *Index[T]) Len() int { return len(x.byAddr) }
