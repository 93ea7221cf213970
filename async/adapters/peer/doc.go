// Package peer reaches peers by "host:port", as those do whose transports the adapters take
// the place of, and fails as a dial does when one cannot be reached. The messenger itself
// goes on trying, and a session outlives its connections; here, what waits for a peer, and
// the streams with it, end with the first attempt to connect that fails.
//
// Implementation: not for users of the library; may change in any release.
package peer
