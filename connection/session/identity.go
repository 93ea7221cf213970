package session

// identity is what the two sides know a session by (docs/PROTOCOL.md 3.2).
type identity struct {
	globalSeq     uint64
	peerGlobalSeq uint64
	connectSeq    uint64
	clientCookie  uint64
	serverCookie  uint64
	// crossed: the session began by accepting the peer's CLIENT_IDENT when one of
	// ours, with this cookie, was or could have been on its way. If the peer has
	// accepted that one in turn, each side has a session that the other does not
	// know. A peer that comes with this cookie shows that it is so, and that it
	// has lost nothing. 0 once the peer has shown that it knows this session.
	crossed uint64
}

// reset forgets the session. The own global_seq counts attempts, whatever they are for.
func (i *identity) reset() { *i = identity{globalSeq: i.globalSeq} }

// unknown is what SESSION_RESET says without the flag "full": the peer does not know the
// session. The own cookie stays, by which it knows that nothing else was lost.
func (i *identity) unknown() { i.serverCookie, i.connectSeq, i.peerGlobalSeq = 0, 0, 0 }

// none is what a lossy session has: no cookies.
func (i *identity) none() { i.clientCookie, i.serverCookie = 0, 0 }

// established says whether the peer has given the session a cookie.
func (i *identity) established() bool { return i.serverCookie != 0 }

// replacedBy is for a session that accepts the attempt with that cookie. One of its own,
// not yet answered, has crossed with it.
func (i *identity) replacedBy(clientCookie uint64) {
	if !i.established() && i.clientCookie != clientCookie {
		i.crossed = i.clientCookie
	}
	i.clientCookie = clientCookie
}
