// Package denc holds Ceph's encoding primitives (docs/PROTOCOL.md 1.1): little-endian
// integers, length-prefixed byte strings and versioned structs.
//
// Appending functions take a slice and return it longer, in the manner of
// append and of [encoding/binary.LittleEndian]'s AppendUintNN, which serves for
// the integers. Consuming goes through a [Reader], a cursor with a sticky error.
// Nothing here panics on input or allocates more than the input is long.
//
// Implementation: not for users of the library; may change in any release.
package denc
