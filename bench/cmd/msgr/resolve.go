package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
)

// resolver reads addresses whose host may be a name.
type resolver struct {
	// lookup returns the addresses of a name, those that the system prefers first.
	lookup func(ctx context.Context, host string) ([]netip.Addr, error)
	// takes says whether somebody takes connections there, or will not within the time.
	takes func(ctx context.Context, at netip.AddrPort) bool
}

// The bounds of resolving: for the name, for each of its addresses, and how many of them
// are tried.
const (
	lookupMax = 5 * time.Second
	dialMax   = time.Second
	triesMax  = 8
)

var systemResolver = resolver{
	lookup: func(ctx context.Context, host string) ([]netip.Addr, error) {
		return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	},
	takes: func(ctx context.Context, at netip.AddrPort) bool {
		c, err := new(net.Dialer).DialContext(ctx, "tcp", at.String())
		if err != nil {
			return false
		}
		_ = c.Close() // nothing was written
		return true
	},
}

// resolve reads v2:HOST:PORT/NONCE. Of a name with several addresses it takes the first
// one that takes connections, or the first one if none does.
func (r resolver) resolve(ctx context.Context, s string) (entity.Addr, error) {
	a, err := entity.ParseAddr(s)
	if err != nil {
		a, err = r.name(ctx, s)
	}
	switch {
	case err != nil:
		return entity.Addr{}, err
	case a.Type != entity.AddrMsgr2:
		return entity.Addr{}, fmt.Errorf("%s is no address of msgr v2; give that, such as v2:HOST:3300/0", s)
	case a.AddrPort.Port() == 0:
		return entity.Addr{}, fmt.Errorf("%s has no port; give it, such as v2:HOST:3300/0", s)
	}
	return a, nil
}

// name resolves an address whose host is a name.
func (r resolver) name(ctx context.Context, s string) (a entity.Addr, err error) {
	hostport, nonce, hasNonce := strings.Cut(strings.TrimPrefix(s, "v2:"), "/")
	host, port, err := net.SplitHostPort(hostport)
	if err != nil || host == "" {
		return a, fmt.Errorf("%q is no address; give it as v2:HOST:PORT/NONCE, "+
			"such as v2:127.0.0.1:3300/0 or v2:[::1]:3300/0", s)
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return a, fmt.Errorf("%s: port %q is no number from 1 to 65535", s, port)
	}
	a.AnyNonce = !hasNonce // as in an address without a name
	if hasNonce {
		n, err := strconv.ParseUint(nonce, 10, 32)
		if err != nil {
			return a, fmt.Errorf("%s: nonce %q is no number of 32 bits; a monitor's is 0", s, nonce)
		}
		a.Nonce = uint32(n)
	}
	soon, cancel := context.WithTimeout(ctx, lookupMax)
	defer cancel()
	ips, err := r.lookup(soon, host)
	if err != nil {
		return a, fmt.Errorf("%w; give the address instead of the name", err)
	}
	if len(ips) == 0 {
		return a, fmt.Errorf("%s has no address; give it instead of the name", host)
	}
	a.Type = entity.AddrMsgr2
	for i := range ips[:min(len(ips), triesMax)] {
		at := netip.AddrPortFrom(ips[i].Unmap(), uint16(number))
		if i == 0 {
			a.AddrPort = at
		}
		if len(ips) > 1 && r.taken(ctx, at) {
			a.AddrPort = at
			break
		}
	}
	return a, nil
}

func (r resolver) taken(ctx context.Context, at netip.AddrPort) bool {
	ctx, cancel := context.WithTimeout(ctx, dialMax)
	defer cancel()
	return r.takes(ctx, at)
}
