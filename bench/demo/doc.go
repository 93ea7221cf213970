// Package demo is a small object store on asyncmsgr that runs in one process
// over real sockets while its connections are being cut, and that checks what
// the messenger promises.
//
// # The store
//
// A few OSDs keep objects, each with two messengers: a public one for clients
// and a cluster one for the other OSDs. An object has a primary, which takes
// writes and reads, and replicas. A client writes generation 1, 2, 3, ... of its
// own objects, one at a time for each object, and reads anybody's. The primary
// answers a write when all replicas have it.
//
//	traffic          sessions                                promise
//	client write     LosslessClient to StatefulServer        every message once, in order
//	client read      the same                                the same
//	replication      LosslessPeer to LosslessPeer            the same
//	heartbeat        the same sessions, PriorityHigh, fast   the same, within its priority
//	recovery         the same sessions, priority 10          the same, within its priority
//	status poll      LossyClient to StatelessServer          once at most, in order, nothing
//	                                                         missing but a tail; one reset each
//
// # The cuts
//
// A faultkit.CutStack between the messengers and the network breaks connections at
// random bytes: in handshakes, in the middle of frames, in both directions, with
// FIN and with RST.
//
// # The page
//
// With Config.Page a page (async/live) shows all messengers, and breaks them by hand: sessions are
// cut; an OSD's callbacks wait, or all its connections break until it is plugged in again, but it
// stays alive, and so every promise stays; a client is killed and begins another life. What was
// under way from and to it then is not promised any more, but what it had written is to be
// found as the primary has it, and all else is checked as ever.
//
// # The keys
//
// With Config.Secure all messengers share a secret that is drawn for the run: each
// connection proves by TLS that both ends have it, and encrypts. An accepted connection that
// does less is a broken promise.
//
// # The oracle
//
// Every message carries a number of its [Stream] and priority, which the
// receiver checks ([Oracle], by package promise); every payload a checksum. Because generations
// follow each other, each store notices by itself a write that was lost, doubled
// or overtaken. A read must return at least what was acknowledged when it was
// sent. At the end, all copies of all objects are compared with what was
// acknowledged.
package demo
