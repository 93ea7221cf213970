package raftmsgr

import (
	"net"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/adapters/peer"
	"github.com/asyncmsgr/asyncmsgr/async/stream"
	"github.com/hashicorp/raft"
)

// StreamLayer is a raft.StreamLayer, for a raft.NetworkTransport over streams of a
// messenger. Any goroutine may call its methods.
type StreamLayer struct {
	net.Listener
	peers *peer.Peers
}

var _ raft.StreamLayer = (*StreamLayer)(nil)

// NewStreamLayer returns a stream layer on m, which is bound, for peers of the same type as m
// itself. mux is where streams come from; nil: a new one for m, which has one.
func NewStreamLayer(m *async.Messenger, mux *stream.Mux) (l *StreamLayer, err error) {
	l = &StreamLayer{}
	if l.peers, err = peer.New(m, 0, mux); err == nil {
		l.Listener, err = l.peers.Listen("raft-stream")
	}
	return l, err
}

// Dial implements raft.StreamLayer. It fails before the time is over when the peer's host
// refuses the connection, as a dial does.
func (l *StreamLayer) Dial(to raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	return l.peers.DialTimeout(string(to), "raft-stream", timeout)
}
