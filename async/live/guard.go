package live

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// guard says which requests are answered. Those that other sites make a browser send are not:
// the name of the host is checked, for one that was made to point here (DNS rebinding), and the
// origin, for what changes something.
type guard struct {
	hosts  []string // lower case
	origin *http.CrossOriginProtection
}

func newGuard(hosts []string) guard {
	g := guard{origin: http.NewCrossOriginProtection()}
	for _, h := range hosts {
		g.hosts = append(g.hosts, strings.ToLower(h))
	}
	return g
}

// admit returns why a request is refused.
func (g *guard) admit(r *http.Request) error {
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.ToLower(strings.Trim(host, "[]"))
	if !isLoopback(host) && !slices.Contains(g.hosts, host) && !slices.Contains(g.hosts, "*") {
		return fmt.Errorf("live: %q is not among the hosts by whose names this page is served", host)
	}
	// A listener that has no addresses, such as that of a unix socket, is this machine's.
	if from, err := netip.ParseAddrPort(r.RemoteAddr); err == nil && len(g.hosts) == 0 &&
		!from.Addr().Unmap().IsLoopback() {
		return fmt.Errorf("live: this page is for its own machine alone")
	}
	if err := g.origin.Check(r); err != nil {
		return fmt.Errorf("live: the request is another site's: %w", err)
	}
	return nil
}

func isLoopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.Unmap().IsLoopback()
}
