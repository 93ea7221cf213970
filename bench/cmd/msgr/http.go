package main

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/asyncmsgr/asyncmsgr/bench/internal/command"
)

// httpAddress is the value of a flag --http: without a host it is this machine alone.
func httpAddress(flag string) (host, port string, err error) {
	host, port, err = net.SplitHostPort(flag)
	if err != nil {
		return "", "", command.Usage(fmt.Errorf("--http=%s: an address such as :8080 or 0.0.0.0:8080: %w", flag, err))
	}
	if host == "" {
		host = "127.0.0.1"
	}
	return host, port, nil
}

// hostsOf are the names by which a page at that host is asked for, for live.Config.Hosts: with a
// host that is not this machine's alone, whoever was told of that chose to be reached.
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
