// Package admin answers an operator who asks a running process what its messengers do, over a
// unix socket, by the protocol of Ceph's admin sockets: so the tools for those work, `ceph
// --admin-daemon PATH perf dump`, `ceph daemonperf PATH`, and whatever collects perf counters.
//
//	s, err := admin.Listen(admin.Config{Path: "/run/x/osd.0.asok", Messengers: []*async.Messenger{m}})
//	...
//	defer s.Close()
//
// A client connects, writes one command and a NUL byte, and reads the answer: its length, four
// bytes, the most significant first, and so many bytes. Then the connection is closed. A command
// is a JSON object with the command's words as its "prefix", and its arguments:
//
//	{"prefix": "perf dump", "logger": "throttle-msgr_dispatch_throttler-osd.0"}
//
// or the words alone (`perf dump`). Answers are JSON; errors are a line "ERROR: (22) Invalid argument"
// and a line that says why, as Ceph's are.
//
// The commands: help, get_command_descriptions, version, perf dump, perf schema, perf histogram
// dump, perf histogram schema, messenger dump, dispatch dump, config show, config get and config
// set, and those of Config.Commands. Counters that Ceph has bear its names.
//
// Who may open the socket may change settings: it has the permissions 0600. Nothing of the
// answers is secret, and no key is in them.
package admin
