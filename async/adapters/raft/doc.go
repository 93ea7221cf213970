// Package raftmsgr is a transport for github.com/hashicorp/raft over a messenger:
//
//	t, err := raftmsgr.New(m, raftmsgr.Options{}) // before m.Start
//	r, err := raft.NewRaft(conf, fsm, logs, stable, snapshots, t)
//
// Everything between two nodes goes over one connection. Heartbeats and votes overtake
// what waits there, at both ends, and snapshots go at low priority, in chunks: while one is
// installed, everything else gets past it, and a leader keeps its office. Entries are
// appended in order, and handled one request at a time for each peer, as by raft's own
// NetworkTransport; the rest is handled beside them.
//
// Whoever has a NetworkTransport and wants to keep it gives it NewStreamLayer.
package raftmsgr
