package raftmsgr

import (
	"context"
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
	m     *async.Messenger
	mux   *stream.Mux
	peers *peer.Peers
}

var _ raft.StreamLayer = (*StreamLayer)(nil)

// NewStreamLayer returns a stream layer on m, which is bound; of o, PeerType and Mux count.
func NewStreamLayer(m *async.Messenger, o Options) (*StreamLayer, error) {
	if o.PeerType == 0 {
		o.PeerType = m.Name().Type
	}
	l := &StreamLayer{m: m, mux: o.Mux}
	var err error
	if l.peers, err = peer.New(m, o.PeerType); err == nil && l.mux == nil {
		l.mux, err = stream.New(m, stream.Options{})
	}
	if err == nil {
		l.Listener, err = l.mux.Listen("raft-stream")
	}
	if err != nil {
		return nil, err
	}
	return l, nil
}

// Dial implements raft.StreamLayer. It fails before the time is over when the peer's host
// refuses the connection, as a dial does.
func (l *StreamLayer) Dial(to raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	c, reach, done, err := l.peers.Connect(ctx, string(to))
	if err != nil {
		return nil, err
	}
	defer done()
	s, err := l.mux.Dial(reach, c, "raft-stream")
	if err != nil {
		return nil, peer.Why(reach, err)
	}
	return s, nil
}

// Addr implements net.Listener: a *net.TCPAddr, the first of the messenger's.
func (l *StreamLayer) Addr() net.Addr { return peer.Net(l.m.Addrs()) }
