package rpc

import (
	"cmp"
	"slices"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// A lossless connection that has lost its transport, and nothing to send, stands by: it does not
// come back before there is something. But if calls are out, their replies may wait at the peer, which
// perhaps must not call; or the peer was started anew and knows nothing of them, and nobody would
// ever hear of it. So while calls are out their connections are looked at, and something is sent
// over those that stand by.

// probeEvery is how often that is. Nothing is sent, and no timer runs, while no call is out.
const probeEvery = time.Second

// look looks at the connections of the shard's calls, on its worker.
func (sh *shard) look(now time.Duration) {
	var all []msg.Connection
	sh.mu.Lock()
	if len(sh.conns) > 0 && sh.probe.index == 0 {
		sh.times.addLocked(&sh.probe, now+probeEvery)
	}
	for _, of := range sh.conns {
		all = append(all, of.conn)
	}
	sh.mu.Unlock()
	slices.SortFunc(all, func(a, b msg.Connection) int { return cmp.Compare(a.ID(), b.ID()) })
	for _, c := range all {
		if c.State() != msg.StateStandby {
			continue
		}
		m := newMessage(typeProbe, header{}, nil, false)
		if c.Send(m) != nil { // closed, which others tell of; or full, and then it will come back
			m.Release()
			continue
		}
		sh.counts.Probes.Add(1)
	}
}
