package raftmsgr

import (
	"fmt"

	"github.com/hashicorp/raft"
)

// Connect implements raft.WithPeers: it takes Disconnect back. The peer's Transport is not
// needed.
func (t *Transport) Connect(to raft.ServerAddress, _ raft.Transport) { t.cut(to, false) }

// Disconnect implements raft.WithPeers: nothing new is sent to the peer, for tests of
// partitions. The peer may still send.
func (t *Transport) Disconnect(to raft.ServerAddress) { t.cut(to, true) }

func (t *Transport) cut(to raft.ServerAddress, apart bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.apart[to] = apart
	for p := range t.pipelines {
		if apart && p.to == to {
			p.cancel()
		}
	}
}

// DisconnectAll implements raft.WithPeers: Disconnect of all but those of later Connects.
func (t *Transport) DisconnectAll() {
	t.mu.Lock()
	defer t.mu.Unlock()
	clear(t.apart)
	t.alone = true
	for p := range t.pipelines {
		p.cancel()
	}
}

// allowed says why nothing may be sent to a peer.
func (t *Transport) allowed(to raft.ServerAddress) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if cut, known := t.apart[to]; cut || !known && t.alone {
		return fmt.Errorf("raftmsgr: %s is cut off", to)
	}
	if t.ctx.Err() != nil {
		return raft.ErrTransportShutdown
	}
	return nil
}
