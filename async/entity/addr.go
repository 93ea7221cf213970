package entity

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"strconv"

	"github.com/asyncmsgr/asyncmsgr/async/denc"
)

// AddrType says which protocol an address speaks (docs/PROTOCOL.md 1.1).
type AddrType uint32

// The address types.
const (
	AddrNone   AddrType = 0
	AddrLegacy AddrType = 1
	AddrMsgr2  AddrType = 2
	AddrAny    AddrType = 3
	AddrCIDR   AddrType = 4
)

// Addr is an address of one process incarnation (Ceph's entity_addr_t). It is
// comparable; the zero value is the blank address.
//
// An IPv6 zone is kept when it is the decimal number of the scope id. The
// flowinfo of an IPv6 socket address and socket families other than INET and
// INET6 have no place here: the first is dropped, the second refused.
//
// The nonce tells incarnations of a process apart that listen at one place after
// each other. Ceph's monitors have the nonce 0; a messenger of this library has a
// random one unless configured otherwise. Who dials by host and port alone does not
// know it: that is AnyNonce, which is another thing than the nonce 0.
type Addr struct {
	Type  AddrType
	Nonce uint32
	// AnyNonce: whichever process listens there is meant. Nonce is 0 then. It has no
	// form of its own on the wire, where such an address looks like one with the
	// nonce 0.
	AnyNonce bool
	AddrPort netip.AddrPort
}

// The socket families, as they are numbered on the wire.
const (
	familyNone  = 0
	familyINET  = 2
	familyINET6 = 10
)

// The lengths of the socket address image.
const (
	sockaddr4Len = 16
	sockaddr6Len = 28
	legacyLen    = 3 + 4 + 128 // after the marker: zeros, nonce, sockaddr_storage
	addrMinLen   = 1 + 2 + 4 + 12
)

// IsBlank reports whether a is an address at all: blank ones have neither a type
// other than none or any, nor an IP address.
func (a Addr) IsBlank() bool {
	return !a.AddrPort.Addr().IsValid() && (a.Type == AddrNone || a.Type == AddrAny)
}

// Normal is a with an IPv4-mapped IPv6 address as plain IPv4: the form in which
// addresses are compared.
func (a Addr) Normal() Addr {
	a.AddrPort = netip.AddrPortFrom(a.AddrPort.Addr().Unmap(), a.AddrPort.Port())
	return a
}

// Place is the IP address and port in the form in which they are compared: IPv4
// unmapped, without a zone, which means something on one host only.
func (a Addr) Place() netip.AddrPort {
	return netip.AddrPortFrom(a.AddrPort.Addr().Unmap().WithZone(""), a.AddrPort.Port())
}

// Matches reports whether a and b are of one type at one Place, and of one nonce if
// both know theirs.
func (a Addr) Matches(b Addr) bool {
	return a.Type == b.Type && a.Place() == b.Place() && (a.AnyNonce || b.AnyNonce || a.Nonce == b.Nonce)
}

// WithNonce is a with a known nonce.
func (a Addr) WithNonce(n uint32) Addr {
	a.Nonce, a.AnyNonce = n, false
	return a
}

// WithAnyNonce is a of whichever process listens there.
func (a Addr) WithAnyNonce() Addr {
	a.Nonce, a.AnyNonce = 0, true
	return a
}

// sockaddr is the C socket address image, zero padded to the IPv6 length, and
// its family's length. A blank one counts 28, as the daemons write it.
func (a Addr) sockaddr() (img [sockaddr6Len]byte, n int) {
	ip := a.AddrPort.Addr()
	switch {
	case ip.Is4():
		img[0] = familyINET
		binary.BigEndian.PutUint16(img[2:], a.AddrPort.Port())
		v4 := ip.As4()
		copy(img[4:], v4[:])
		return img, sockaddr4Len
	case ip.Is6():
		img[0] = familyINET6
		binary.BigEndian.PutUint16(img[2:], a.AddrPort.Port())
		v6 := ip.As16()
		copy(img[8:], v6[:])
		if z := ip.Zone(); z != "" {
			if scope, err := strconv.ParseUint(z, 10, 32); err == nil {
				binary.LittleEndian.PutUint32(img[24:], uint32(scope))
			}
		}
	}
	return img, sockaddr6Len
}

// Append appends the wire form of a, marker 1 (docs/PROTOCOL.md 1.1):
//
//	u8 1 | u8 v 1 | u8 compat 1 | u32 12+elen | u32 type | u32 nonce | u32 elen | elen bytes
//
// Implementation: not for users of the library; may change in any release.
func (a Addr) Append(dst []byte) []byte {
	le := binary.LittleEndian
	img, n := a.sockaddr()
	dst = append(dst, 1)
	dst = denc.AppendStructHeader(dst, 1, 1, 12+n)
	dst = le.AppendUint32(dst, uint32(a.Type))
	dst = le.AppendUint32(dst, a.Nonce)
	dst = le.AppendUint32(dst, uint32(n))
	return append(dst, img[:n]...)
}

// ConsumeAddr consumes one address, in the form of marker 1 or of marker 0, the
// legacy form. It refuses other markers, an image longer than its family's and
// families other than INET, INET6 and none.
//
// Implementation: not for users of the library; may change in any release.
func ConsumeAddr(r *denc.Reader) Addr {
	switch m := r.U8(); m {
	case 0:
		return consumeLegacy(r)
	case 1:
		return consumeAddr1(r)
	default:
		r.Fail(fmt.Errorf("%w: address marker %d", denc.ErrValue, m))
		return Addr{}
	}
}

// consumeAddr1 consumes what follows marker 1.
func consumeAddr1(r *denc.Reader) Addr {
	_, b := r.Struct(1)
	a := Addr{Type: AddrType(b.U32()), Nonce: b.U32()}
	sa := b.BL()
	ap, err := parseSockaddr(sa)
	if err != nil {
		b.Fail(err)
	}
	a.AddrPort = ap
	r.Join(&b)
	if r.Err() != nil {
		return Addr{}
	}
	return a
}

// consumeLegacy consumes what follows marker 0: three zero bytes, the nonce and
// a sockaddr_storage of 128 bytes whose family is big endian. Such an address
// is one of msgr v1.
func consumeLegacy(r *denc.Reader) Addr {
	b := denc.NewReader(r.Bytes(legacyLen))
	if r.Err() != nil {
		return Addr{}
	}
	b.Bytes(3)
	a := Addr{Type: AddrLegacy, Nonce: b.U32()}
	var img [sockaddr6Len]byte
	copy(img[:], b.Bytes(128))
	img[0], img[1] = img[1], img[0]
	n := sockaddr6Len
	if binary.LittleEndian.Uint16(img[:]) == familyINET {
		n = sockaddr4Len
	}
	ap, err := parseSockaddr(img[:n])
	if err != nil {
		r.Fail(err)
		return Addr{}
	}
	if !ap.IsValid() && a.Nonce == 0 {
		return Addr{}
	}
	a.AddrPort = ap
	return a
}

// parseSockaddr reads an image that may be shorter than its family's length; the
// rest is then zero.
func parseSockaddr(sa []byte) (netip.AddrPort, error) {
	if len(sa) == 0 {
		return netip.AddrPort{}, nil
	}
	if len(sa) < 2 || len(sa) > sockaddr6Len {
		return netip.AddrPort{}, fmt.Errorf("%w: socket address of %d bytes", denc.ErrValue, len(sa))
	}
	var img [sockaddr6Len]byte
	copy(img[:], sa)
	port := binary.BigEndian.Uint16(img[2:])
	switch family := binary.LittleEndian.Uint16(img[:]); family {
	case familyNone:
		return netip.AddrPort{}, nil
	case familyINET:
		if len(sa) > sockaddr4Len {
			return netip.AddrPort{}, fmt.Errorf("%w: IPv4 socket address of %d bytes", denc.ErrValue, len(sa))
		}
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(img[4:8])), port), nil
	case familyINET6:
		ip := netip.AddrFrom16([16]byte(img[8:24]))
		if scope := binary.LittleEndian.Uint32(img[24:]); scope != 0 && !ip.Is4In6() {
			ip = ip.WithZone(strconv.FormatUint(uint64(scope), 10))
		}
		return netip.AddrPortFrom(ip, port), nil
	default:
		return netip.AddrPort{}, fmt.Errorf("%w: socket family %d", denc.ErrValue, family)
	}
}

// Compare orders addresses as Ceph does: byte by byte over its in-memory form,
// that is little-endian type, little-endian nonce and the socket address image.
// The order is not the numerical one; it decides connection races, so both
// sides must agree on it.
func (a Addr) Compare(b Addr) int {
	x, y := a.image(), b.image()
	return bytes.Compare(x[:], y[:])
}

// image is the in-memory form that Compare is defined on.
func (a Addr) image() (m [8 + sockaddr6Len]byte) {
	binary.LittleEndian.PutUint32(m[0:], uint32(a.Type))
	binary.LittleEndian.PutUint32(m[4:], a.Nonce)
	img, _ := a.sockaddr()
	copy(m[8:], img[:])
	return m
}
