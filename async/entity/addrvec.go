package entity

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/asyncmsgr/asyncmsgr/async/denc"
)

// AddrVec is an address vector (Ceph's entity_addrvec_t): all addresses of one
// entity. As a whole it identifies a peer.
type AddrVec []Addr

// AddrVecMax is how many addresses a decoded vector may have; more are refused.
const AddrVecMax = 64

// Append appends the wire form, marker 2: u32 count and the addresses (msgr2
// spec 1.1). More than AddrVecMax addresses panic, for no peer would read them.
//
// Implementation: not for users of the library; may change in any release.
func (v AddrVec) Append(dst []byte) []byte {
	if len(v) > AddrVecMax {
		panic(fmt.Sprintf("entity: AddrVec of %d addresses, at most %d", len(v), AddrVecMax))
	}
	dst = binary.LittleEndian.AppendUint32(append(dst, 2), uint32(len(v)))
	for _, a := range v {
		dst = a.Append(dst)
	}
	return dst
}

// ConsumeAddrVec consumes a vector: marker 2, or marker 1 or 0 for a single
// address. The result does not alias the input.
//
// Implementation: not for users of the library; may change in any release.
func ConsumeAddrVec(r *denc.Reader) AddrVec {
	var v AddrVec
	switch m := r.U8(); m {
	case 0:
		if a := consumeLegacy(r); a != (Addr{}) {
			v = AddrVec{a}
		}
	case 1:
		v = AddrVec{consumeAddr1(r)}
	case 2:
		n := r.Count(addrMinLen, AddrVecMax)
		if n == 0 {
			return nil
		}
		v = make(AddrVec, 0, n)
		for range n {
			v = append(v, ConsumeAddr(r))
			if r.Err() != nil {
				break
			}
		}
	default:
		r.Fail(fmt.Errorf("%w: address vector marker %d", denc.ErrValue, m))
	}
	if r.Err() != nil {
		return nil
	}
	return v
}

// Equal reports whether both have the same addresses in the same order.
func (v AddrVec) Equal(w AddrVec) bool { return slices.Equal(v, w) }

// Contains reports whether one of the addresses Matches a.
func (v AddrVec) Contains(a Addr) bool { return slices.ContainsFunc(v, a.Matches) }

// Clone is a copy that shares nothing with v.
func (v AddrVec) Clone() AddrVec { return slices.Clone(v) }

// Msgr2 is the first address of type v2, or the blank address.
func (v AddrVec) Msgr2() Addr {
	for _, a := range v {
		if a.Type == AddrMsgr2 {
			return a
		}
	}
	return Addr{}
}

// First is the first address, or the blank address.
func (v AddrVec) First() Addr {
	if len(v) == 0 {
		return Addr{}
	}
	return v[0]
}

// Key is v as a map key: equal vectors have equal keys and no others do, as far
// as the wire can tell (named IPv6 zones do not count). It is not for people;
// see String.
//
// Implementation: not for users of the library; may change in any release.
func (v AddrVec) Key() string {
	b := make([]byte, 0, len(v)*(8+sockaddr6Len))
	for _, a := range v {
		m := a.image()
		if a.AnyNonce {
			m[3] = 0xff // no type has that byte
		}
		b = append(b, m[:]...)
	}
	if len(v) == 1 { // as nearly all are: the image of an IPv4 address is mostly zeros behind it
		b = b[:8+len(bytes.TrimRight(b[8:], "\x00"))]
	}
	return string(b)
}
