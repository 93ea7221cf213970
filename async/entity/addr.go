package entity

import "net/netip"

// AddrType says which protocol an address speaks (msgr2 spec 1.1).
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
type Addr struct {
	Type     AddrType
	Nonce    uint32
	AddrPort netip.AddrPort
}

// AddrVec is an address vector (Ceph's entity_addrvec_t): all addresses of one
// entity. As a whole it identifies a peer.
type AddrVec []Addr
