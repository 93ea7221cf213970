// Package etcdraftmsgr carries the messages of go.etcd.io/raft/v3 over a messenger:
//
//	t, err := etcdraftmsgr.New(m, node, etcdraftmsgr.Options{}) // node is a raft.Node
//	err = t.AddPeer(2, "10.0.0.7:7001")
//	...
//	case rd := <-node.Ready():
//		...
//		t.Send(rd.Messages)
//
// Heartbeats and votes overtake what waits, at the sender and at the receiver, and
// snapshots go at low priority, in chunks: while one is sent, everything else gets past
// it. What is not delivered is reported to the node (ReportUnreachable, ReportSnapshot).
package etcdraftmsgr
