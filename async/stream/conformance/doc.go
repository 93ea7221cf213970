// Package conformance holds async/stream to the contract of net.Conn, by the suite of
// golang.org/x/net/nettest, and compares it with yamux and plain TCP. It is a module of its
// own, for what that needs: run it in its folder, with GOWORK=off.
package conformance
