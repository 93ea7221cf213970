// Package faultkit breaks real connections. A CutStack does it from within, between
// a messenger and any stack: at exact bytes, with RST or FIN, noticed or not. A
// Proxy does it from outside, for everything that speaks TCP: it cuts at exact
// bytes, freezes, and refuses. The faults of the simulated network are
// eventloop/simnet's own.
//
// Implementation: not for users of the library; may change in any release.
package faultkit
