// Package wire has the payloads of Ceph's messages that a client of monitors and OSDs
// sends and receives (docs/PROTOCOL.md 1.8): a function of the message's name makes it, Parse
// and the name read it.
//
// Implementation: not for users of the library; may change in any release.
package wire
