package session

import "github.com/asyncmsgr/asyncmsgr/async/msg"

// pairing is two policies as they meet in practice.
type pairing struct {
	name           string
	client, server msg.Policy
	lossy          bool // the session that comes out
}

// pairings has each of the presets, and the default.
var pairings = []pairing{
	{"lossy_client-stateless_server", msg.LossyClient(), msg.StatelessServer(), true},
	{"lossy_client-stateless_registered_server", msg.LossyClient(), msg.StatelessRegisteredServer(), true},
	{"lossless_client-stateless_server", msg.LosslessClient(), msg.StatelessServer(), true},
	{"lossless_client-stateful_server", msg.LosslessClient(), msg.StatefulServer(), false},
	{"lossy_peer", msg.LossyPeer(), msg.LossyPeer(), true},
	{"lossy_peer-stateless_server", msg.LossyPeer(), msg.StatelessServer(), true},
	{"lossless_peer", msg.LosslessPeer(), msg.LosslessPeer(), false},
	{"lossless_peer_reuse", msg.LosslessPeerReuse(), msg.LosslessPeerReuse(), false},
	{"lossless_peer-stateful_server", msg.LosslessPeer(), msg.StatefulServer(), false},
	{"default", msg.DefaultPolicy(), msg.DefaultPolicy(), false},
}
