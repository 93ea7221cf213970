package conf

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
)

// Ports of monitors.
const (
	PortMsgr2  = 3300
	PortLegacy = 6789
)

// ErrMonHost is wrapped by the errors of MonHosts and ParseMonHosts.
var ErrMonHost = errors.New("conf: mon_host")

// monHostsMax bounds the monitors of a file.
const monHostsMax = 64

// Host is where a monitor is: Addrs, or, if these are nil, a name that is to be resolved, each of
// whose addresses is a monitor at Port.
type Host struct {
	Addrs entity.AddrVec
	Name  string
	Port  uint16
}

// MonHosts are the monitors of the file: mon_host, or in older files mon_addr of the sections of
// monitors. That there are none is an error.
func (f *File) MonHosts(name entity.AuthName) ([]Host, error) {
	if value, ok := f.Get(name, "mon_host"); ok {
		return ParseMonHosts(value)
	}
	var hosts []Host
	for _, section := range slices.Sorted(maps.Keys(f.sections)) {
		value, ok := f.sections[section]["mon_addr"]
		if !ok || !strings.HasPrefix(section, "mon.") {
			continue
		}
		more, err := ParseMonHosts(value)
		if err != nil {
			return nil, fmt.Errorf("[%s]: %w", section, err)
		}
		hosts = append(hosts, more...)
	}
	switch {
	case len(hosts) == 0:
		return nil, fmt.Errorf("%w: the file has none, and no mon_addr of a monitor", ErrMonHost)
	case len(hosts) > monHostsMax:
		return nil, fmt.Errorf("%w: %d monitors, at most %d", ErrMonHost, len(hosts), monHostsMax)
	}
	return hosts, nil
}

// ParseMonHosts reads a value of mon_host: monitors, separated by commas, semicolons or spaces,
// each of them one of
//
//	[v2:10.0.0.1:3300/0,v1:10.0.0.1:6789/0]   all addresses of one
//	v2:10.0.0.1:3300/0    v2:[fd00::1]:3300    one address
//	10.0.0.1    [fd00::1]    fd00::1           port 3300
//	10.0.0.1:3300    [fd00::1]:3300
//	mon1    mon1.example.com:3300              a name
//
// Of several addresses those that are not of msgr v2 are left out; a monitor that has no other,
// port 6789 among them, is an error: only msgr v2 is spoken here.
func ParseMonHosts(value string) ([]Host, error) {
	var hosts []Host
	rest := value
	for {
		rest = strings.TrimLeft(rest, ",; \t")
		if rest == "" {
			break
		}
		var one string
		one, rest = cutHost(rest)
		h, err := parseHost(one)
		if err != nil {
			return nil, fmt.Errorf("%w: %q: %w", ErrMonHost, one, err)
		}
		hosts = append(hosts, h)
	}
	switch {
	case len(hosts) == 0:
		return nil, fmt.Errorf("%w: it is empty", ErrMonHost)
	case len(hosts) > monHostsMax:
		return nil, fmt.Errorf("%w: %d monitors, at most %d", ErrMonHost, len(hosts), monHostsMax)
	}
	return hosts, nil
}

// cutHost is the first monitor of a list, and the rest of it.
func cutHost(s string) (one, rest string) {
	depth := 0
	for i := range len(s) {
		switch c := s[i]; {
		case c == '[':
			depth++
		case c == ']':
			depth--
		case depth == 0 && strings.IndexByte(",; \t", c) >= 0:
			return s[:i], s[i:]
		}
	}
	return s, ""
}

func parseHost(s string) (Host, error) {
	if list, ok := strings.CutPrefix(s, "["); ok && strings.HasSuffix(s, "]") && typed(strings.TrimSpace(list)) {
		var v2 entity.AddrVec
		for one := range strings.SplitSeq(list[:len(list)-1], ",") {
			a, err := parseTyped(strings.TrimSpace(one))
			if err != nil {
				return Host{}, err
			}
			if a.Type == entity.AddrMsgr2 {
				v2 = append(v2, a)
			}
		}
		return msgr2(v2)
	}
	if typed(s) {
		a, err := parseTyped(s)
		if err != nil {
			return Host{}, err
		}
		if a.Type != entity.AddrMsgr2 {
			return msgr2(nil)
		}
		return msgr2(entity.AddrVec{a})
	}
	return parsePlain(s)
}

// msgr2 is the monitor that has those addresses of msgr v2.
func msgr2(v entity.AddrVec) (Host, error) {
	switch {
	case len(v) == 0:
		return Host{}, errors.New("there is no address of msgr v2, and nothing else is spoken here: v2:IP:3300")
	case len(v) > entity.AddrVecMax:
		return Host{}, fmt.Errorf("%d addresses, at most %d", len(v), entity.AddrVecMax)
	}
	return Host{Addrs: v}, nil
}

// typed says whether an address begins with its type.
func typed(s string) bool {
	return strings.HasPrefix(s, "v1:") || strings.HasPrefix(s, "v2:") || strings.HasPrefix(s, "any:")
}

// parseTyped reads v2:IP[:PORT][/NONCE]. A monitor's nonce is 0.
func parseTyped(s string) (entity.Addr, error) {
	a := entity.Addr{Type: entity.AddrMsgr2}
	kind, place, _ := strings.Cut(s, ":")
	port := uint16(PortMsgr2)
	switch kind {
	case "v2", "any": // any: either, and msgr v2 is what is spoken here
	case "v1":
		a.Type, port = entity.AddrLegacy, PortLegacy
	default:
		return a, errors.New("an address has no v2:, v1: or any: before it")
	}
	place, nonce, has := strings.Cut(place, "/")
	if has {
		n, err := strconv.ParseUint(nonce, 10, 32)
		if err != nil {
			return a, errors.New("the nonce, behind the slash, is no number")
		}
		a.Nonce = uint32(n)
	}
	ap, err := parsePlace(place, port)
	a.AddrPort = ap
	return a, err
}

// parsePlace reads an IP address with or without a port.
func parsePlace(s string, port uint16) (netip.AddrPort, error) {
	if ip, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]")); err == nil {
		return netip.AddrPortFrom(ip, port), nil
	}
	ap, err := netip.ParseAddrPort(s)
	if err != nil || ap.Port() == 0 {
		return ap, errors.New("no IP address with a port; one is v2:10.0.0.1:3300")
	}
	return ap, nil
}

// parsePlain reads an address without a type, or a name.
func parsePlain(s string) (Host, error) {
	s, nonce, _ := strings.Cut(s, "/") // 10.0.0.1:3300/0
	if nonce != "" && nonce != "0" {
		return Host{}, errors.New("the nonce of a monitor is 0")
	}
	if ap, err := parsePlace(s, PortMsgr2); err == nil {
		if ap.Port() == PortLegacy {
			return msgr2(nil)
		}
		return Host{Addrs: entity.AddrVec{{Type: entity.AddrMsgr2, AddrPort: ap}}}, nil
	}
	name, port, hasPort := strings.Cut(s, ":")
	h := Host{Name: name, Port: PortMsgr2}
	if !isName(name) {
		return Host{}, errors.New("neither an address nor the name of a host")
	}
	if hasPort {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return Host{}, errors.New("the port is no number from 1 to 65535")
		}
		h.Port = uint16(n)
	}
	if h.Port == PortLegacy {
		return msgr2(nil)
	}
	return h, nil
}

// isName says whether s may be the name of a host.
func isName(s string) bool {
	if s == "" || len(s) > 253 {
		return false
	}
	letters := false
	for _, c := range s {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '-' || c == '_'
		letters = letters || letter
		if !letter && c != '.' && (c < '0' || c > '9') {
			return false
		}
	}
	return letters
}
