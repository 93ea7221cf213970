// Package peer finds peers by "host:port", as those do whose transports the adapters take
// the place of, and lets what waits for a peer end when it cannot be reached, as a dial
// would. (The messenger itself goes on trying.)
package peer
