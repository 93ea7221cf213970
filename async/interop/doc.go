// Package interop tests the messenger against real Ceph daemons and clients,
// and has the helpers for it: StartMon starts a ceph-mon on loopback, Ceph and
// Python run real clients, MonServer is a Dispatcher that answers real clients as
// a monitor would. A faultkit.Proxy cuts their connections.
//
// The tests need Debian's ceph-mon, ceph-osd, ceph-common and python3-rados (Ceph 16.2), or another release in the
// folder that the environment variable ASYNCMSGR_CEPH names (docs/CEPH.md).
// Where these are missing the tests are skipped with a line that says how to
// install them. The environment variable ASYNCMSGR_INTEROP=require makes that a
// failure, and ASYNCMSGR_INTEROP=off skips the tests everywhere.
//
// Everything stays on 127.0.0.1 and in folders that the tests remove.
//
// Implementation: not for users of the library; may change in any release.
package interop
