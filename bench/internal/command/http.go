package command

import (
	"fmt"
	"net"
	"net/netip"
)

// HTTPAddress is the value of a flag --http: without a host it is this machine alone.
func HTTPAddress(flag string) (host, port string, err error) {
	host, port, err = net.SplitHostPort(flag)
	if err != nil {
		return "", "", Usage(fmt.Errorf("--http=%s: an address such as :8080 or 0.0.0.0:8080: %w", flag, err))
	}
	if host == "" {
		host = "127.0.0.1"
	}
	return host, port, nil
}

// ListenHTTP listens at the value of a flag --http. hosts are the names by which a page there is
// asked for, as live.Config has them: a host that is not this machine's alone was meant.
func ListenHTTP(flag string) (l net.Listener, hosts []string, err error) {
	host, port, err := HTTPAddress(flag)
	if err != nil {
		return nil, nil, err
	}
	l, err = net.Listen("tcp", net.JoinHostPort(host, port))
	return l, hostsOf(host), err
}

func hostsOf(host string) []string {
	a, err := netip.ParseAddr(host)
	switch {
	case host == "localhost" || err == nil && a.Unmap().IsLoopback():
		return nil
	case err == nil && a.IsUnspecified():
		return []string{"*"}
	}
	return []string{host}
}
