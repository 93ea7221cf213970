// Package export is what messengers tell to systems that collect metrics: one table of names,
// units and meanings, read from one snapshot of a messenger and, if they are named, from what
// counts its calls and streams. The packages below it write it for one system each: expvars for
// expvar, and as modules of their own prom for Prometheus and otel for OpenTelemetry. Who needs
// another format writes it from Metrics and Read.
//
// # What it costs
//
// Read takes Messenger.Snapshot and, unless it is told not to, looks at each connection once,
// as Messenger.ConnectionStats does: no worker is asked, and no lock is held for longer than it
// takes to copy a few numbers. A messenger that was shut down, or was not started, can be read
// as well.
//
// # Calls and streams
//
// What async/rpc and async/stream count is read by the side, from the Stats of Options.Nodes and
// Options.Muxes, and told of their messenger. Who names none pays nothing for it, and sees no
// metric of it.
//
// # What bounds it
//
// No label has the name or the address of a peer, of a connection or of a message: how many
// series there are does not grow with the number of connections. The labels are the messenger,
// the worker, the band of priorities, the reason (of failures and losses), the state (of connections),
// the throttle and the type of peers whose policy it is of.
// For a single connection there is Messenger.ConnectionStats, and async/admin.
package export
