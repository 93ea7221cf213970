// Package cephx is what both ends of Ceph's cephx need, and who reads a recording of it:
// keys, keyrings, and the structures of its exchanges (docs/PROTOCOL.md 2.2 to 2.5, 9.3). There
// is no exchange here yet: nobody logs in with this package.
//
// It does no I/O and draws no randomness: sealing is handed its random bytes. Secrets
// are in no text: a Key prints as its type alone, and errors name who and what, never
// bytes.
//
// All of it may be used by several goroutines as long as nobody changes what others
// read. Structures that were parsed alias the bytes they were parsed from.
//
// Implementation: not for users of the library; may change in any release.
package cephx
