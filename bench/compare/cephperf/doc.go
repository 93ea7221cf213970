// Package cephperf is the exchange of Ceph's ceph_perf_msgr_server and
// ceph_perf_msgr_client with messengers of this repository: a number of jobs, each a
// messenger with one connection, keep a window of requests in flight until each has
// had a given number of replies. A request is an MOSDOp that writes, with the given bytes
// as its data; a reply is an MOSDOpReply without data. What the C++ programs do beyond
// that, encoding and decoding those two for each message, is not done here: the fronts are
// copied. Either end can be one of theirs.
package cephperf

// typeUsage asks a server what it has used so far. The reply has it as JSON. Ceph's server
// does not know the question.
const typeUsage = 1
