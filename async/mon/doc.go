// Package mon is a client of Ceph's monitors on a messenger: it looks for one that answers,
// stays with it, keeps the maps that were subscribed to, runs commands, and keeps the tickets
// of cephx (docs/CEPH.md).
//
// A Client has one session with one monitor. When that breaks, or the monitor says nothing for
// KeepaliveTimeout or leaves a question unanswered for AnswerTimeout, it hunts: it calls up to
// Config.Parallel monitors at a time, each for AttemptTimeout, keeps the first that lets it
// in, and waits between rounds in which none did. On each new session it subscribes anew, from
// the epochs that it has, and asks again what was not answered.
//
// # Promises
//
// Command returns once: with the answer, with why there will be none, or when its context
// ends. The monitors may carry out a command more than once, because it is asked again when
// its answer was lost: Ceph's own clients do the same, and Ceph's commands are made for it.
//
// Everything has a bound: Config.CommandsMax, Config.MapBytesMax, monsMax monitors.
//
// # What it is not
//
// It places no objects: the OSD map is kept as bytes. Package osd asks the monitor instead.
package mon
