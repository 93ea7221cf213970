// Package cephperf is the exchange of Ceph's ceph_perf_msgr_server and
// ceph_perf_msgr_client with messengers of this repository: a number of jobs, each a
// messenger with one connection, keep a window of requests in flight until each has
// had a given number of replies. A request is about as long as an MOSDOp that writes,
// with the given bytes as its data; a reply is about as long as an MOSDOpReply and has
// no data. What the C++ programs do beyond that, encoding and decoding those two
// messages, is not done here: fronts are plain bytes.
package cephperf

// Message types, those of MOSDOp and MOSDOpReply, and the bytes of their fronts.
const (
	typeRequest  = 42
	typeReply    = 43
	requestFront = 220
	replyFront   = 160
)

// typeUsage asks a server what it has used so far. The reply has it as JSON.
const typeUsage = 1
