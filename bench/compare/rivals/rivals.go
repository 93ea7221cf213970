// Package rivals has the contestants of the comparison, a file for each kind.
package rivals

import (
	"slices"

	"github.com/asyncmsgr/asyncmsgr/bench/compare/workload"
)

// Reference is the contestant that the others are compared with.
const Reference = "threadpipe-goroutines"

// All returns the contestants.
func All() []workload.Contestant {
	all := []workload.Contestant{
		Async(true), Async(false), AsyncSecure(),
		Threadpipe("threadpipe-goroutines", true, false, false), Threadpipe("threadpipe-queue", false, false, false),
		Threadpipe("threadpipe-threads", true, true, false), Threadpipe("threadpipe-batch", true, true, true),
	}
	all = append(all, notMessengers()...)
	for i := range all {
		all[i].Extra = slices.Contains([]string{"threadpipe-batch", "drpc-batch"}, all[i].Name)
		all[i].Is, all[i].Lacks = described[all[i].Name].is, described[all[i].Name].lacks
	}
	return all
}

// described is what a report says of the contestants: what each is, and what it does not do
// that the messengers' figures include.
var described = map[string]struct{ is, lacks string }{
	"async-fast": {
		"this library's messenger with fast dispatch at both ends: the callback runs where the message was " +
			"decoded, on a worker that many connections share",
		"does not order these messages by priority at the receiver, and their callbacks must not block",
	},
	"async-queue": {
		"the same messenger through its dispatch queue, by priority: in place while callbacks are short, on a " +
			"goroutine of the pool otherwise",
		"",
	},
	"async-secure": {
		"async-fast with a shared secret: TLS 1.3 in the handshake, then AES-128-GCM",
		"does not order these messages by priority at the receiver, and their callbacks must not block",
	},
	"raw-tls": {
		"raw-net over crypto/tls: TLS 1.3 with AES-128-GCM",
		"no priorities, no replay, no messages that are anything but bytes",
	},
	"grpc-tls": {
		"grpc with TLS 1.3",
		"no priorities, no replay: what is in flight is lost when a connection breaks",
	},
	"threadpipe-goroutines": {
		"a messenger with a reading and a writing goroutine for each connection over the same session and frame " +
			"code, with fast dispatch: the reference",
		"does not order these messages by priority at the receiver",
	},
	"threadpipe-queue": {
		"the same with one dispatching goroutine, which takes messages from a queue by priority",
		"",
	},
	"threadpipe-threads": {
		"the same with fast dispatch and two OS threads on blocking sockets for each connection, a write and a " +
			"wake-up for each message, as Ceph's SimpleMessenger",
		"does not order these messages by priority at the receiver, and writes no batches",
	},
	"threadpipe-batch": {
		"the same threads, which write as much at a time as the goroutines do",
		"does not order these messages by priority at the receiver",
	},
	"grpc": {
		"a bidirectional stream of grpc-go on each connection, with raw bytes for a codec",
		"no checksum, no priorities, no replay: what is in flight is lost when a connection breaks",
	},
	"drpc": {
		"a stream of storj.io/drpc on each connection, each message flushed, as its users have it",
		"no checksum, no priorities, no replay, and does not connect again",
	},
	"drpc-batch": {
		"the same with its buffers managed from outside, so that a flush has many messages",
		"no checksum, no priorities, no replay, and does not connect again",
	},
	"netrpc": {
		"the standard library's net/rpc with gob, a client for each connection",
		"no checksum, no priorities, no replay, and does not connect again",
	},
	"nats": {
		"a NATS server within the server's process, and a client there that echoes: request and reply by " +
			"subjects, each message by way of the broker",
		"no checksum, no priorities, no replay",
	},
	"raw-net": {
		"frames of a length and a number over package net, a goroutine for each connection: no messenger, but the " +
			"floor",
		"no checksum, no priorities, no replay, no dispatch, no handshake",
	},
	"raw-netpoll": {
		"the same frames over netpoll, the library under this one's event loop",
		"no checksum, no priorities, no replay, no dispatch, no handshake",
	},
}
