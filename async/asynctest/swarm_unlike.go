package asynctest

import (
	"math/rand/v2"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// swarmUnlike pairs policies that are not made for each other. It has a generator of
// its own.
type swarmUnlike struct {
	rnd              *rand.Rand
	on               bool
	client, server   string // policies, by their names in scenarios
	clients, servers msg.Policy
	// bound: clients can be called; back: servers do so.
	bound, back bool
}

// draw decides whether a system has such policies: one in six has.
func (u *swarmUnlike) draw(seed uint64) {
	u.rnd = newRand(seed, 80)
	if u.on = u.rnd.IntN(6) == 0; !u.on {
		return
	}
	clients := []string{"lossy_client", "lossless_client", "lossless_peer", "lossless_peer_reuse", "lossy_peer"}
	servers := append([]string{"stateful_server", "stateless_server", "stateless_registered_server"}, clients...)
	u.client, u.server = clients[u.rnd.IntN(len(clients))], servers[u.rnd.IntN(len(servers))]
	u.clients, u.servers = scenarioPolicies[u.client](), scenarioPolicies[u.server]()
	u.bound = u.rnd.IntN(2) == 0
	u.back = u.bound && !u.servers.Server && u.rnd.IntN(2) == 0
}

// waits says whether messages of servers may wait until their client has something to
// say: it does not come back for nothing, and cannot be called.
func (u *swarmUnlike) waits() bool {
	return u.on && u.clients.Standby && (u.servers.Server || !u.bound)
}

// lossy says whether messages may be lost although nothing was done to messengers: in
// lossy sessions, and in lossless ones of which one side wanted to be lossy.
func (u *swarmUnlike) lossy() bool { return u.servers.Lossy || u.clients.Lossy }
