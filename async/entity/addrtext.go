package entity

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// String is "none", "v1", "v2", "any" or "cidr", and "type7" for a number
// without a name.
func (t AddrType) String() string {
	switch t {
	case AddrNone:
		return "none"
	case AddrLegacy:
		return "v1"
	case AddrMsgr2:
		return "v2"
	case AddrAny:
		return "any"
	case AddrCIDR:
		return "cidr"
	}
	return "type" + strconv.FormatUint(uint64(t), 10)
}

// String is "v2:1.2.3.4:3300/0": type, IP address and port, nonce; without the slash
// and the nonce if it is AnyNonce. The zero Addr is "-", and "-" stands for a missing
// IP address and port ("any:-/7").
func (a Addr) String() string {
	if a == (Addr{}) {
		return "-"
	}
	b := make([]byte, 0, 48)
	b = append(b, a.Type.String()...)
	b = append(b, ':')
	if a.AddrPort.IsValid() {
		b = a.AddrPort.AppendTo(b)
	} else {
		b = append(b, '-')
	}
	if !a.AnyNonce {
		b = append(b, '/')
		b = strconv.AppendUint(b, uint64(a.Nonce), 10)
	}
	return string(b)
}

// ParseAddr reads what String writes. The type may be left out (v2 is meant):
// "1.2.3.4:3300/0", "v2:[::1]:3300/5". Without a nonce, "1.2.3.4:3300", whichever
// process listens there is meant (AnyNonce), as people write it. Host names are not
// resolved.
func ParseAddr(s string) (Addr, error) {
	if s == "-" {
		return Addr{}, nil
	}
	rest, a := s, Addr{Type: AddrMsgr2}
	for t := AddrNone; t <= AddrCIDR; t++ {
		if after, ok := strings.CutPrefix(s, t.String()+":"); ok {
			rest, a.Type = after, t
			break
		}
	}
	ap, nonce, hasNonce := strings.Cut(rest, "/")
	if hasNonce {
		n, err := strconv.ParseUint(nonce, 10, 32)
		if err != nil {
			return Addr{}, fmt.Errorf("entity: address %q: nonce: %w", s, err)
		}
		a.Nonce = uint32(n)
	}
	a.AnyNonce = !hasNonce
	if ap == "-" {
		return a, nil
	}
	parsed, err := netip.ParseAddrPort(ap)
	if err != nil {
		return Addr{}, fmt.Errorf("entity: address %q: %w", s, err)
	}
	a.AddrPort = parsed
	return a, nil
}

// MarshalText is String.
func (a Addr) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText is ParseAddr.
func (a *Addr) UnmarshalText(b []byte) (err error) {
	*a, err = ParseAddr(string(b))
	return err
}

// String is "[v2:1.2.3.4:3300/0,v1:1.2.3.4:6789/0]"; a single address has no
// brackets; an empty vector is "-".
func (v AddrVec) String() string {
	switch len(v) {
	case 0:
		return "-"
	case 1:
		return v[0].String()
	}
	var b strings.Builder
	for i, a := range v {
		b.WriteByte("[,"[min(i, 1)])
		b.WriteString(a.String())
	}
	b.WriteByte(']')
	return b.String()
}

// ParseAddrVec reads what String writes; brackets may enclose one address too.
func ParseAddrVec(s string) (AddrVec, error) {
	if s == "-" || s == "[]" {
		return nil, nil
	}
	list := s
	if strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") && !strings.HasPrefix(s, "[:") {
		list = s[1 : len(s)-1]
	}
	var v AddrVec
	for part := range strings.SplitSeq(list, ",") {
		a, err := ParseAddr(part)
		if err != nil {
			return nil, err
		}
		v = append(v, a)
	}
	if len(v) > AddrVecMax {
		return nil, fmt.Errorf("entity: %d addresses, at most %d", len(v), AddrVecMax)
	}
	return v, nil
}

// MarshalText is String.
func (v AddrVec) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText is ParseAddrVec.
func (v *AddrVec) UnmarshalText(b []byte) (err error) {
	*v, err = ParseAddrVec(string(b))
	return err
}
