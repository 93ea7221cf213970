// Package tickets keeps a messenger logged in by cephx (docs/CEPHX.md): a Keeper stays
// connected with a monitor, and renews the tickets there before they end; Serve is the other
// side, for monitors that are messengers of this library.
//
// Without it a cephx.Client has the tickets of its last login, which end after an hour or so.
package tickets
