// Package sessiontest is the suite of behaviours that every kind of messenger over
// the session core has to show, whatever its I/O model: policies, replay after cuts
// at many bytes, connection races, resets, marking down, keepalives, throttles,
// priorities, bad peers, shutdown. Run runs all of it between a server of one kind
// and a client of another one, over real TCP on loopback.
//
// A kind is a factory of Messengers; Async is that of package async.
//
// Implementation: not for users of the library; may change in any release.
package sessiontest
