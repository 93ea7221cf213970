package async

import (
	"sync"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// policySet is the policy per type of peer.
type policySet struct {
	mu     sync.RWMutex
	def    msg.Policy
	byType map[entity.Type]msg.Policy
}

func (p *policySet) get(t entity.Type) msg.Policy {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if q, ok := p.byType[t]; ok {
		return q
	}
	return p.def
}

// SetDefaultPolicy sets the policy for types of peers that have none of their
// own. Connections that exist keep theirs.
func (m *Messenger) SetDefaultPolicy(p msg.Policy) {
	p = m.guardThrottlers(p)
	m.policies.mu.Lock()
	m.policies.def = p
	m.policies.mu.Unlock()
}

// SetPolicy sets the policy for peers of type t.
func (m *Messenger) SetPolicy(t entity.Type, p msg.Policy) {
	p = m.guardThrottlers(p)
	m.policies.mu.Lock()
	m.policies.byType[t] = p
	m.policies.mu.Unlock()
}

// SetPolicyThrottlers sets the throttles of the policy for peers of type t; nil
// means unlimited. They are shared by all connections made from then on.
func (m *Messenger) SetPolicyThrottlers(t entity.Type, messages, bytes msg.Throttler) {
	p := m.policies.get(t)
	p.ThrottleMessages, p.ThrottleBytes = messages, bytes
	m.SetPolicy(t, p)
}

// PolicyFor is the policy for peers of type t.
func (m *Messenger) PolicyFor(t entity.Type) msg.Policy { return m.policies.get(t) }
