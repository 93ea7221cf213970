package async

import (
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// SetDefaultPolicy sets the policy for types of peers that have none of their
// own. Connections that exist keep theirs.
func (m *Messenger) SetDefaultPolicy(p msg.Policy) {
	m.identity.SetDefaultPolicy(m.guardThrottlers(p))
}

// SetPolicy sets the policy for peers of type t.
func (m *Messenger) SetPolicy(t entity.Type, p msg.Policy) {
	m.identity.SetPolicy(t, m.guardThrottlers(p))
}

// SetPolicyThrottlers sets the throttles of the policy for peers of type t; nil
// means unlimited. They are shared by all connections made from then on.
func (m *Messenger) SetPolicyThrottlers(t entity.Type, messages, bytes msg.Throttler) {
	p := m.identity.PolicyFor(t)
	p.ThrottleMessages, p.ThrottleBytes = messages, bytes
	m.SetPolicy(t, p)
}

// PolicyFor is the policy for peers of type t.
func (m *Messenger) PolicyFor(t entity.Type) msg.Policy { return m.identity.PolicyFor(t) }
