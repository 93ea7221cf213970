// Package hostile runs peers that mean harm against a messenger in a process of its own:
// many connections that say nothing, too little, too much or the wrong thing. What they
// cost, and what becomes of honest peers meanwhile, is measured from outside.
//
// Three processes take part, this binary each time: the server, the attackers, and the
// one that Run is called in, whose honest client makes one handshake after the other.
// Attackers and honest client come from different addresses of the loopback network, as
// they would on a real one: some bounds are per address.
package hostile
