/*
 * The lossless session of msgr v2.1 as connection/session implements it: two nodes, all
 * tags of its handshake, races, breaks and restarts. README.md, beside this file, says what
 * is modelled, within which bounds, and what is not; run, how it is checked.
 *
 * "go:" names the function of the library that a part stands for (TestModelNamesFunctions
 * looks for each of them). "ghost" is what the library does not have: it watches.
 */

/* Bounds. Each can be given with -D. */
#ifndef TCPS
#define TCPS	2	/* TCP connections that are there at once, those being closed included */
#endif
#ifndef MSGS0
#define MSGS0	1	/* messages that node 0 sends, in each of its lives */
#endif
#ifndef MSGS1
#define MSGS1	1	/* and node 1 */
#endif
#ifndef BREAKS
#define BREAKS	1	/* times a TCP connection breaks */
#endif
#ifndef RESTARTS
#define RESTARTS 0	/* times a node dies and comes back with the same address and nonce */
#endif
#ifndef EARLY
#define EARLY	0	/* times a node waits no longer for the peer's attempt though that is under way */
#endif
#ifndef ROOM
#define ROOM	2	/* messages and ACKs in flight in one direction of a TCP connection */
#endif
#ifndef RESETCHECK
#define RESETCHECK 0	/* the policies' resetcheck */
#endif

/* One step of a node. -DCOVER tells what is reached within it, in more time. */
#ifdef COVER
#define STEP	atomic
#else
#define STEP	d_step
#endif

#define FAULTS	(BREAKS + RESTARTS + EARLY > 0)

/* Mutations: -DWITHOUT=RULE takes a rule away, and a property has to be violated then. */
#define CONNECT_SEQ	1	/* connect_seq is compared */
#define CLIENT_COOKIE	2	/* the client cookie of SESSION_RECONNECT is */
#define SERVER_COOKIE	3	/* its server cookie is */
#define REPLAY		4	/* what the peer does not have is sent again */
#define TOLD_IN_SEQ	5	/* SESSION_RECONNECT_OK has in_seq */
#define SMALLER_WINS	6	/* of two attempts that cross that of the smaller address wins */
#define CROSSED		7	/* attempts that crossed are told from a restart */
#define GLOBAL_SEQ	8	/* an attempt that was overtaken is refused */
#define HALF_MADE	9	/* RESET(not full) ends the attempt that the peer has accepted */
#define FRUITLESS	10	/* a session that keeps breaking waits before it comes back */
#define WAKE		11	/* a message wakes a session in STANDBY */
#ifndef WITHOUT
#define WITHOUT	0
#endif
#define with(rule)	(WITHOUT != rule)

#define SEQMAX	12	/* attempts count no further: more would be a race without an end */

/*
 * Policies. Node 0 has the smaller address.
 * go: async/msg/policy.go LosslessPeer
 * go: async/msg/policy.go LosslessClient
 * go: async/msg/policy.go StatefulServer
 * go: connection/session/session.go Session.canDial
 */
#ifdef CLIENT
#define can_dial(n)	(n == 0)	/* the client does not listen, the server does not call */
#define standby(n)	(n == 1)
#else
#define can_dial(n)	true
#define standby(n)	true
#endif

/* The states of a session: CALLING is all from CONNECTING to AUTH_CONNECTING_SIGN. */
mtype = { NONE, CALLING, SESSION_CONNECTING, SESSION_RECONNECTING, READY, STANDBY, BACKOFF, WAIT };

/* Frames of the handshake. MESSAGE and ACK are in channels of their own, behind it. */
mtype = { CLIENT_IDENT, SERVER_IDENT, SESSION_RECONNECT, SESSION_RECONNECT_OK, SESSION_RETRY,
	SESSION_RETRY_GLOBAL, SESSION_RESET, SESSION_WAIT };

/* The acceptor's end of a TCP connection. */
mtype = { CLOSED, ACCEPTING, TAKEN };

/* What becomes of an incoming connection: go: connection/session/arbiter.go Arbitrate */
mtype = { ACCEPT, REPLACE, REPLACE_RESET, TELL_WAIT, TELL_RESET, TELL_RESET_FULL, TELL_RETRY,
	TELL_RETRY_GLOBAL, REFUSE };

#define NOWHERE	TCPS	/* no TCP connection */

#if TCPS == 2
#define EACH_TCP(of, n, y)	(of(n, 0, y) || of(n, 1, y))
#else
#define EACH_TCP(of, n, y)	(of(n, 0, y) || of(n, 1, y) || of(n, 2, y))
#endif

typedef Session {	/* go: connection/session/session.go newSession */
	mtype st = NONE;
	byte tcp = NOWHERE;
	/* identity.go: own and the peer's global_seq, connect_seq, cookies */
	unsigned gs : 4; unsigned pgs : 4; unsigned cs : 4;
	unsigned cc : 3; unsigned sc : 3; unsigned crossed : 3;
	unsigned in : 3; unsigned out : 3; unsigned max : 3; unsigned acked : 3;	/* numbers.go */
	bool owed;				/* acks.go */
	bool want;				/* keepalive.go: KEEPALIVE2 is to be sent */
#ifdef LIVE
	bool delayed, fruitless;		/* fault.go: see there */
#endif
	/* outbox.go: of the messages 1..given those up to fin are finished, the next nsent
	 * were encoded in this session, and of these resend on this TCP connection. */
	unsigned given : 3; unsigned fin : 3; unsigned nsent : 3; unsigned resend : 3;
	/* ghost */
	unsigned dropped : 3;	/* messages up to it were reported undeliverable, or acknowledged before */
	unsigned got : 3;	/* the highest of this life's messages that was delivered */
	bit peer;		/* which life of the peer the session is with, */
	bit met;		/* if there is one */
};

typedef Frame {
	mtype tag;
	unsigned cc : 3; unsigned sc : 3; unsigned gs : 4; unsigned cs : 4;
	unsigned num : 3;	/* msg_seq; or "full" of SESSION_RESET */
};

typedef Tcp {	/* connection/session/stream.go: one TCP connection */
	bit con;		/* the connector. Its end is open while it is its session's */
	bool used;
	bool authed;		/* banner, HELLO and authentication are over */
	mtype acc = CLOSED;	/* the acceptor's end */
	Frame f;		/* in flight: what the connector asks, or what it is told */
	bit life0, life1;	/* ghost: which lives of the nodes it connects */
};

Session s[2];
Tcp tcp[TCPS];
byte counter[2];		/* go: connection/identity.go Identity.NextGlobalSeq */

/* Messages (id, seq, ack) and ACKs (id 0), from and to the connector. */
#define up(t)	flow[2*(t)]
#define down(t)	flow[2*(t)+1]
chan flow[2*TCPS] = [ROOM] of { byte, byte, byte };

/* ghost: what each node has delivered of which life of the other, and its own life */
byte last[2];
bit lastof[2], life[2];
byte breaks = BREAKS, restarts = RESTARTS, early = EARLY;

/* Within one step only, so no part of the state. */
hidden byte v, w, x, y, z, id, seq, ack;
hidden byte c, a;
hidden Frame f;
hidden mtype verdict;
hidden byte same, was_crossed;

#define C(t)	tcp[t].con
#define A(t)	(1 - tcp[t].con)
#define asked(t)	(tcp[t].f.tag == CLIENT_IDENT || tcp[t].f.tag == SESSION_RECONNECT)
#define told(t)		(tcp[t].f.tag != 0 && !asked(t))
#define con_open(t)	(tcp[t].used && s[C(t)].tcp == t)
#define life_of(n, t)	((n) == 0 -> tcp[t].life0 : tcp[t].life1)
#define established(n)	(s[n].sc != 0)		/* go: connection/session/identity.go identity.established */
#define connecting(n)	(s[n].st == CALLING || s[n].st == SESSION_CONNECTING || s[n].st == SESSION_RECONNECTING)
						/* go: connection/session/state.go State.connecting */
#define racing(n)	(connecting(n) && can_dial(n))	/* go: connection/session/arbiter.go Existing.racing */
#define wins(n)		(with(SMALLER_WINS) && n == 0)	/* of the two addresses this node's is the smaller one */
#define queued(n)	(s[n].given - s[n].fin - s[n].nsent)
#define idle(n)		(s[n].given == s[n].fin && !s[n].want)
#define first_seq(n)	(s[n].out - s[n].nsent)	/* the number before the first that is sent and not acknowledged */

/* ---- TCP connections ------------------------------------------------------------- */

inline no_frame(fr) {
	fr.tag = 0; fr.cc = 0; fr.sc = 0; fr.gs = 0; fr.cs = 0; fr.num = 0;
}

inline drain(q) {
	do
	:: len(q) > 0 -> q?_,_,_
	:: else -> break
	od
}

/* Both ends are closed. */
inline tcp_gone(t) {
	no_frame(tcp[t].f);
	drain(up(t)); drain(down(t));
	tcp[t].con = 0; tcp[t].used = false; tcp[t].authed = false; tcp[t].acc = CLOSED;
	tcp[t].life0 = 0; tcp[t].life1 = 0
}

/* What is in flight in one direction is lost. */
inline lose_up(t) {
	if
	:: asked(t) -> no_frame(tcp[t].f)
	:: else
	fi;
	drain(up(t))
}
inline lose_down(t) {
	if
	:: told(t) -> no_frame(tcp[t].f)
	:: else
	fi;
	drain(down(t))
}

/* The connector's end closes. What it has sent may still arrive; not before authentication:
 * then the acceptor knows of nobody. */
inline close_con(t) {
	lose_down(t);
	if
	:: tcp[t].acc == CLOSED || !tcp[t].authed -> tcp_gone(t)
	:: else
	fi
}

inline close_acc(t) {
	tcp[t].acc = CLOSED;
	lose_up(t);
	if
	:: !con_open(t) -> tcp_gone(t)
	:: else
	fi
}

/* The session gives its TCP connection up: all that was sent has to be encoded again.
 * go: connection/session/stream.go Session.dropTransport
 * go: connection/session/outbox.go outbox.rewind */
inline drop_tcp(n) {
	s[n].resend = 0;
	x = s[n].tcp;
	s[n].tcp = NOWHERE;
	if
	:: x == NOWHERE
	:: x != NOWHERE && C(x) == n -> close_con(x)
	:: x != NOWHERE && C(x) != n -> close_acc(x)
	fi
}

/* ---- Numbers ---------------------------------------------------------------------- */

/* The next global_seq. The library counts on. Here numbers that nobody knows any more are
 * taken out first, for only their order counts; not while the peer knows a higher one, of
 * an earlier life: then the distance counts too.
 * go: connection/identity.go Identity.NextGlobalSeq */
#define gs_of(n, t)	((tcp[t].f.tag == SERVER_IDENT) == (C(t) != n))	/* f.gs is a number of n */
#define knows(n, t, y)	(gs_of(n, t) && tcp[t].f.gs y)
inline lower(field, mine) {
	field = field - (mine && field > v -> 1 : 0)
}
inline squeeze(n) {
	v = (s[1-n].pgs > counter[n] || EACH_TCP(knows, n, > counter[n]) -> counter[n] : 1);
	do
	:: v >= counter[n] -> break
	:: v < counter[n] && (s[n].gs == v || s[1-n].pgs == v || EACH_TCP(knows, n, == v)) -> v++
	:: else ->
		lower(counter[n], true); lower(s[n].gs, true); lower(s[1-n].pgs, true);
		lower(tcp[0].f.gs, gs_of(n, 0)); lower(tcp[1].f.gs, gs_of(n, 1));
#if TCPS > 2
		lower(tcp[2].f.gs, gs_of(n, 2))
#endif
	od
}
inline next_global_seq(n, least) {
	squeeze(n);
	counter[n] = (counter[n] > least -> counter[n] : least) + 1;
	assert(counter[n] < SEQMAX)	/* V2 */
}

/* A cookie that nobody knows. The library takes a random one.
 * go: connection/session/ident.go Session.nonZeroRand */
#define cc_in(n, t, y)	(tcp[t].f.cc y)
#define sc_in(n, t, y)	(tcp[t].f.sc y)
inline fresh_client_cookie(n) {
	v = 1;
	do
	:: s[1-n].cc == v || s[0].crossed == v || s[1].crossed == v || EACH_TCP(cc_in, n, == v) -> v++
	:: else -> break
	od;
	s[n].cc = v
}
inline fresh_server_cookie(n) {
	v = 1;
	do
	:: s[n].sc == v || s[1-n].sc == v || EACH_TCP(sc_in, n, == v) -> v++
	:: else -> break
	od;
	s[n].sc = v
}

/* ---- Delays ------------------------------------------------------------------------- */

/* How long BACKOFF takes. Where safety is checked, no time at all or any: an attempt at once
 * is one of these. With LIVE a delay that the library makes is longer than what is under way.
 * go: connection/session/fault.go Session.fruitlessAgain */
#ifdef LIVE
#define delay(n) \
	s[n].delayed = (s[n].st != READY || with(FRUITLESS) && s[n].fruitless); \
	s[n].fruitless = (s[n].st == READY || s[n].fruitless)
#define delayed(n)	s[n].delayed
#define at_once(n)	s[n].delayed = false
#define fruitful(n)	s[n].fruitless = false
#else
#define delay(n)	skip
#define delayed(n)	false
#define at_once(n)	skip
#define fruitful(n)	skip
#endif

/* ---- Acknowledgement, delivery, loss ------------------------------------------------ */

/* go: connection/session/message.go Session.acked */
inline acknowledged(n, seq) {
	if
	:: seq > s[n].acked -> s[n].acked = seq; fruitful(n)
	:: else
	fi;
	if
	:: s[n].nsent > 0 && seq > first_seq(n) ->
		w = seq - first_seq(n);
		w = (w > s[n].nsent -> s[n].nsent : w);
		s[n].fin = s[n].fin + w;
		s[n].nsent = s[n].nsent - w;
		s[n].resend = (s[n].resend > w -> s[n].resend - w : 0);
		assert(s[n].fin <= s[n].got)	/* L4: acknowledged means that the peer has it */
	:: else
	fi
}

/* go: connection/session/message.go Session.handleAck */
inline handle_ack(n, seq) {
	if
	:: seq > s[n].acked ->
		assert(seq <= s[n].max);			/* E1: an ack of what was never sent */
		assert(seq <= first_seq(n) + s[n].resend);	/* E1: or not on this TCP connection */
		acknowledged(n, seq)
	:: else
	fi
}

/* ghost: message m of that life of p is delivered at n */
inline deliver(n, p, m, ofLife) {
	printf("%d has message %d of life %d\n", n, m, ofLife);
	if
	:: lastof[n] != ofLife ->
		assert(ofLife == life[p]);	/* C3: the end of the earlier life is known */
		lastof[n] = ofLife; last[n] = 0
	:: else
	fi;
	assert(m > last[n]);			/* L1, L2: not twice, not out of order */
	if
	:: ofLife == life[p] ->
		assert(m == last[n] + 1 || m <= s[p].fin + 1);	/* L1: nothing between was left out */
		assert(m > s[p].dropped);			/* L5: what was reported lost does not arrive */
		s[p].got = (m > s[p].got -> m : s[p].got)
	:: else
	fi;
	last[n] = m
}

/* The session is forgotten because the peer has lost it, and the user hears of it.
 * go: connection/session/fault.go Session.resetSession
 * go: connection/session/outbox.go Session.drop */
inline reset_session(n) {
	printf("%d is reset\n", n);
	assert(s[n].peer != life[1-n]);		/* C4: not without a reason */
	s[n].fin = s[n].given; s[n].dropped = s[n].given; s[n].nsent = 0; s[n].resend = 0;
	s[n].pgs = 0; s[n].cs = 0; s[n].cc = 0; s[n].sc = 0; s[n].crossed = 0;
	s[n].in = 0; s[n].out = 0; s[n].max = 0; s[n].acked = 0; s[n].owed = false;
	s[n].met = false
}

/* The numbers begin anew, and what was encoded is sent again under new ones.
 * go: connection/session/ident.go Session.newSession
 * go: connection/session/outbox.go outbox.renumber */
inline new_session(n) {
	s[n].in = 0; s[n].out = s[n].nsent; s[n].max = 0; s[n].acked = 0; s[n].owed = false;
	s[n].resend = 0
}

/* go: connection/session/reconnect.go Session.resume */
inline resume(n, peerHas) {
	acknowledged(n, peerHas);
	s[n].resend = (with(REPLAY) -> 0 : s[n].nsent);
	s[n].owed = false
}

/* ---- Faults and attempts ------------------------------------------------------------ */

/* The TCP connection of a session is lost, from this side's point of view.
 * go: connection/session/fault.go Session.fault
 * go: connection/session/fault.go Session.awaitPeer
 * go: connection/session/fault.go Session.retryLater */
inline fault(n) {
	printf("%d loses %d in %e\n", n, s[n].tcp, s[n].st);
	drop_tcp(n);
	s[n].gs = 0;
	delay(n);
	if
	:: !can_dial(n) || standby(n) && idle(n) -> s[n].st = STANDBY
	:: else -> s[n].st = BACKOFF
	fi
}

/* There is something to send.
 * go: connection/session/session.go Session.wake */
inline wake(n) {
	if
	:: with(WAKE) && s[n].st == STANDBY && can_dial(n) -> s[n].st = BACKOFF; at_once(n)
	:: else
	fi
}

/* go: connection/session/keepalive.go Session.Keepalive */
inline keepalive(n) {
	if
	:: s[n].st == STANDBY && !can_dial(n)
	:: else -> s[n].want = true; wake(n)
	fi
}

/* A new attempt, on TCP connection t.
 * go: connection/session/session.go Session.reconnect
 * go: connection/session/session.go Session.connect
 * go: connection/session/timeout.go Session.HandleTimeout */
inline dial(n, t) {
	assert(FAULTS || s[n].cc == 0);	/* V2: when nothing fails each node calls once at most */
	if
	:: established(n) -> s[n].cs++; assert(s[n].cs < SEQMAX)	/* V2 */
	:: else
	fi;
	next_global_seq(n, s[n].gs);
	s[n].gs = counter[n];
	s[n].st = CALLING;
	s[n].tcp = t;
	tcp[t].used = true; tcp[t].con = n; tcp[t].acc = ACCEPTING;
	tcp[t].life0 = life[0]; tcp[t].life1 = life[1];
	printf("%d dials on %d\n", n, t)
}

/* ---- The connector -------------------------------------------------------------------- */

/* go: connection/session/ident.go Session.sendClientIdent */
inline send_client_ident(n, t) {
	s[n].cs = 0;
	if
	:: s[n].cc == 0 -> fresh_client_cookie(n)
	:: else
	fi;
	s[n].st = SESSION_CONNECTING;
	tcp[t].f.tag = CLIENT_IDENT; tcp[t].f.cc = s[n].cc; tcp[t].f.gs = s[n].gs;
	printf("%d asks on %d for a session: CLIENT_IDENT cc %d gs %d\n", n, t, s[n].cc, s[n].gs)
}

/* go: connection/session/reconnect.go Session.sendReconnect */
inline send_reconnect(n, t) {
	s[n].st = SESSION_RECONNECTING;
	tcp[t].f.tag = SESSION_RECONNECT; tcp[t].f.cc = s[n].cc; tcp[t].f.sc = s[n].sc;
	tcp[t].f.gs = s[n].gs; tcp[t].f.cs = s[n].cs; tcp[t].f.num = s[n].in;
	printf("%d asks on %d to go on: SESSION_RECONNECT cc %d sc %d gs %d cs %d in %d\n", n, t, s[n].cc, s[n].sc,
		s[n].gs, s[n].cs, s[n].in)
}

/* Both ends are authenticated.
 * go: connection/session/authenticate.go Session.connectorSignature */
inline authenticated(n, t) {
	tcp[t].authed = true;
	if
	:: established(n) -> send_reconnect(n, t)
	:: else -> send_client_ident(n, t)
	fi
}

/* ghost: when the connector is ready the acceptor, if it still is, knows the same session */
#define agree(n, t)	(tcp[t].acc != TAKEN || s[n].cc == s[1-n].cc && s[n].sc == s[1-n].sc && \
			 s[n].cs == s[1-n].cs && s[n].gs == s[1-n].pgs && \
			 s[n].in <= s[1-n].out && s[1-n].in <= s[n].out && \
			 s[n].acked <= s[1-n].in && s[1-n].acked <= s[n].in)

/* go: connection/session/ident.go Session.ready */
inline ready(n, t) {
	x = life_of(1-n, t);
	assert(!RESETCHECK || !s[n].met || s[n].peer == x);	/* C4: that the peer restarted is told */
	s[n].st = READY;
	if
	:: s[n].peer != x -> s[n].peer = x; s[n].met = false
	:: else
	fi
}

/* ghost: the connector is ready, and so was the acceptor before. Not until now can one have
 * anything of the other: a session that the connector never heard of can end without a word. */
inline meet(n, t) {
	s[n].met = RESETCHECK;
	if
	:: tcp[t].acc == TAKEN -> s[1-n].met = RESETCHECK
	:: else
	fi
}

/* The connector n hears the answer. */
inline connector(n, t) {
	v = tcp[t].f.tag;
	id = tcp[t].f.num;
	w = tcp[t].f.sc;
	x = tcp[t].f.gs;
	y = tcp[t].f.cs;
	no_frame(tcp[t].f);
	printf("%d is told on %d: %e\n", n, t, v);
	if
	:: v == SERVER_IDENT ->		/* go: connection/session/ident.go Session.connectorServerIdent */
		assert(s[n].st == SESSION_CONNECTING);
		s[n].sc = w;
		s[n].pgs = x;
		new_session(n);
		s[n].crossed = 0;
		ready(n, t);
		meet(n, t);
		assert(agree(n, t))	/* L3 */
	:: v == SESSION_RECONNECT_OK ->	/* go: connection/session/reconnect.go Session.connectorReconnectOK */
		assert(s[n].st == SESSION_RECONNECTING);
		/* go: connection/session/reconnect.go Session.checkMsgSeq */
		assert(s[n].acked <= id && id <= s[n].max);	/* E1 */
		s[n].crossed = 0;
		resume(n, id);
		ready(n, t);
		meet(n, t);
		assert(agree(n, t))	/* L3 */
	:: v == SESSION_RESET ->	/* go: connection/session/reconnect.go Session.connectorReset */
		assert(s[n].st == SESSION_RECONNECTING);
		if
		:: id -> reset_session(n)
		:: else ->	/* go: connection/session/identity.go identity.unknown */
			s[n].sc = 0; s[n].cs = 0; s[n].pgs = 0; s[n].in = 0
		fi;
		send_client_ident(n, t)
	:: v == SESSION_RETRY ->	/* go: connection/session/reconnect.go Session.connectorRetry */
		assert(s[n].st == SESSION_RECONNECTING);	/* unreached: README, RETRY */
		assert(y >= s[n].cs);	/* E1 */	/* unreached: README, RETRY */
		s[n].cs = y + 1;	/* unreached: README, RETRY */
		assert(s[n].cs < SEQMAX);	/* V2 */	/* unreached: README, RETRY */
		send_reconnect(n, t)
	:: v == SESSION_RETRY_GLOBAL ->	/* go: connection/session/reconnect.go Session.connectorRetryGlobal */
		assert(s[n].st == SESSION_RECONNECTING);	/* unreached: README, RETRY_GLOBAL */
		x = (x > s[n].gs -> x : s[n].gs);	/* unreached: README, RETRY_GLOBAL */
		next_global_seq(n, x);
		s[n].gs = counter[n];	/* unreached: README, RETRY_GLOBAL */
		send_reconnect(n, t)
	:: v == SESSION_WAIT ->		/* go: connection/session/ident.go Session.connectorWait */
		drop_tcp(n);		/* go: connection/session/fault.go Session.lostRace */
		s[n].gs = 0;
		s[n].st = WAIT
	fi
}

/* ---- The acceptor ----------------------------------------------------------------------- */

/* go: connection/session/arbiter.go arbitrateIdent */
inline arbitrate_ident(a) {
	was_crossed = s[a].crossed != 0 && s[a].crossed == f.cc;
	same = s[a].cc != 0 && s[a].cc == f.cc;
	if
	:: with(GLOBAL_SEQ) && s[a].pgs > f.gs && (!(s[a].st == STANDBY && !can_dial(a)) || same) -> verdict = REFUSE	/* c */
	:: else ->
		if
		:: established(a) && !same ->		/* e */
			if
			:: RESETCHECK && !(with(CROSSED) && was_crossed) -> verdict = REPLACE_RESET
			:: else -> verdict = REPLACE
			fi
		:: same -> verdict = REPLACE		/* f */
		:: !established(a) && !same && racing(a) && wins(a) -> verdict = TELL_WAIT	/* h */
		:: else -> verdict = REPLACE		/* g, h */
		fi
	fi
}

/* go: connection/session/arbiter.go arbitrateReconnect */
inline arbitrate_reconnect(a) {
	if
	:: with(CLIENT_COOKIE) && s[a].cc != f.cc ->	/* c */
		if
		:: RESETCHECK && !(with(CROSSED) && s[a].crossed == f.cc) -> verdict = TELL_RESET_FULL
		:: else -> verdict = TELL_RESET
		fi
	:: else ->
		if
		:: with(SERVER_COOKIE) && s[a].sc != f.sc -> verdict = TELL_RESET	/* d, and another server cookie */
		:: else ->
			if
			:: s[a].pgs > f.gs -> verdict = TELL_RETRY_GLOBAL	/* e */
			:: else ->
				if
				:: with(CONNECT_SEQ) && s[a].cs >= f.cs && racing(a) && wins(a) -> verdict = TELL_WAIT	/* g */
				:: else ->
					if
					:: with(CONNECT_SEQ) && (s[a].cs > f.cs || s[a].cs == f.cs && s[a].st == READY) ->
						verdict = TELL_RETRY	/* f */
					:: else ->
						if
						:: f.num < s[a].acked || f.num > s[a].max -> verdict = TELL_RESET_FULL
						:: else -> verdict = REPLACE	/* h */
						fi
					fi
				fi
			fi
		fi
	fi
}

/* go: connection/session/ident.go Session.serverIdent */
inline server_ident(a, t) {
	fresh_server_cookie(a);
	s[a].cs = 0;
	new_session(a);
	next_global_seq(a, 0);
	tcp[t].f.tag = SERVER_IDENT; tcp[t].f.sc = s[a].sc; tcp[t].f.gs = counter[a];
	ready(a, t)
}

/* The existing session goes on with the new TCP connection. f is what its peer has said.
 * go: connection/session/settle.go Session.TakeOver
 * go: connection/takeover.go Conn.TakeOver */
inline take_over(a, t) {
	drop_tcp(a);
	s[a].gs = 0;
	if
	:: verdict == REPLACE_RESET -> reset_session(a)
	:: else
	fi;
	s[a].tcp = t;
	tcp[t].acc = TAKEN;
	s[a].pgs = f.gs;
	if
	:: f.tag == SESSION_RECONNECT ->
		s[a].crossed = 0;
		s[a].cs = f.cs;
		resume(a, f.num);
		tcp[t].f.tag = SESSION_RECONNECT_OK; tcp[t].f.num = (with(TOLD_IN_SEQ) -> s[a].in : 0);
		ready(a, t)
	:: else ->	/* go: connection/session/identity.go identity.replacedBy */
		if
		:: !established(a) && s[a].cc != f.cc -> s[a].crossed = s[a].cc
		:: else
		fi;
		s[a].cc = f.cc;
		server_ident(a, t)
	fi
}

/* A verdict is carried out.
 * go: connection/session/settle.go Session.Settle
 * go: connection/session/settle.go Session.answer
 * go: async/arbitrate.go Messenger.arbitrate
 * go: async/arbitrate.go Messenger.settle */
inline settle(a, t) {
	printf("%d judges on %d: %e in %e\n", a, t, verdict, s[a].st);
	if
	:: verdict == ACCEPT ->	/* go: connection/session/settle.go Session.Accept */
		s[a].tcp = t;
		tcp[t].acc = TAKEN;
		s[a].cc = f.cc;
		s[a].pgs = f.gs;
		server_ident(a, t)
	:: verdict == REPLACE || verdict == REPLACE_RESET -> take_over(a, t)
	:: verdict == TELL_WAIT -> keepalive(a); tcp[t].f.tag = SESSION_WAIT
	:: verdict == TELL_RESET_FULL -> tcp[t].f.tag = SESSION_RESET; tcp[t].f.num = true
	:: verdict == TELL_RESET ->
		if	/* go: connection/session/settle.go Session.halfMade */
		:: with(HALF_MADE) && s[a].tcp != NOWHERE && !established(a) && s[a].cc == f.cc -> fault(a)
		:: else
		fi;
		tcp[t].f.tag = SESSION_RESET
	:: verdict == TELL_RETRY -> tcp[t].f.tag = SESSION_RETRY; tcp[t].f.cs = s[a].cs
	:: verdict == TELL_RETRY_GLOBAL -> tcp[t].f.tag = SESSION_RETRY_GLOBAL; tcp[t].f.gs = s[a].pgs	/* unreached: README, RETRY_GLOBAL */
	:: verdict == REFUSE -> keepalive(a); close_acc(t)	/* go: connection/session/settle.go Session.Refuse */
	fi
}

/* go: connection/session/ident.go Session.acceptorClientIdent
 * go: connection/session/reconnect.go Session.acceptorReconnect */
inline acceptor(a, t) {
	f.tag = tcp[t].f.tag; f.cc = tcp[t].f.cc; f.sc = tcp[t].f.sc;
	f.gs = tcp[t].f.gs; f.cs = tcp[t].f.cs; f.num = tcp[t].f.num;
	no_frame(tcp[t].f);
	if
	:: s[a].st == NONE && f.tag == CLIENT_IDENT -> verdict = ACCEPT
	:: s[a].st == NONE && f.tag == SESSION_RECONNECT -> verdict = TELL_RESET_FULL
	:: s[a].st != NONE && f.tag == CLIENT_IDENT -> arbitrate_ident(a)
	:: s[a].st != NONE && f.tag == SESSION_RECONNECT -> arbitrate_reconnect(a)
	fi;
	settle(a, t)
}

/* ---- Messages ------------------------------------------------------------------------- */

/* A frame arrives at a session that is READY.
 * go: connection/session/message.go Session.handleMessage
 * go: connection/session/message.go Session.readyAck */
inline receive(n, t, q) {
	q?id,seq,ack;
	printf("%d receives on %d: message %d seq %d ack %d\n", n, t, id, seq, ack);
	if
	:: id == 0 -> handle_ack(n, ack)
	:: else ->
		s[n].crossed = 0;
		handle_ack(n, ack);
		if
		:: seq <= s[n].in	/* a duplicate */
		:: else ->
			assert(seq == s[n].in + 1);	/* L3: no gap */
			s[n].in = seq;
			s[n].owed = true;
			fruitful(n);
			x = life_of(1-n, t);
			deliver(n, 1-n, id, x)
		fi
	fi
}

/* Something to write: go: connection/session/stream.go Session.Written */
#define to_write(n)	(s[n].want || s[n].given > s[n].fin + s[n].resend || s[n].owed)

/* One frame is encoded and written. An ACK may have been held back.
 * go: connection/session/message.go Session.Fill
 * go: connection/session/message.go Session.encode
 * go: connection/session/keepalive.go Session.fillKeepalives
 * go: connection/session/acks.go Session.HoldAck */
inline fill(n, q) {
	if
	:: s[n].want -> s[n].want = false
	:: !s[n].want && s[n].given > s[n].fin + s[n].resend ->	/* again, or for the first time */
		if
		:: s[n].resend == s[n].nsent -> s[n].nsent++; s[n].out++	/* go: connection/session/numbers.go numbers.next */
		:: else
		fi;
		s[n].resend++;
		seq = first_seq(n) + s[n].resend;
		s[n].max = (seq > s[n].max -> seq : s[n].max);
		s[n].owed = false;
		q!(s[n].fin + s[n].resend),seq,s[n].in
	:: else -> s[n].owed = false; q!0,0,s[n].in
	fi
}

/* ---- Who acts --------------------------------------------------------------------------- */

/* TCP connection t carries what is in flight: each of these may come next. An end that is
 * closed is noticed at any moment, and what is in flight from it is lost then. */
proctype Wire(byte t) {
end:	do
	:: STEP { tcp[t].used && !tcp[t].authed && con_open(t) && tcp[t].acc == ACCEPTING ->
		c = C(t); authenticated(c, t) }
	:: STEP { asked(t) && tcp[t].acc == ACCEPTING -> a = A(t); acceptor(a, t) }
	:: STEP { told(t) && con_open(t) -> c = C(t); connector(c, t) }
	:: STEP { tcp[t].acc == TAKEN && nempty(up(t)) -> a = A(t); receive(a, t, up(t)) }
	:: STEP { con_open(t) && s[C(t)].st == READY && tcp[t].f.tag == 0 && nempty(down(t)) ->
		c = C(t); receive(c, t, down(t)) }
	/* go: connection/session/session.go Session.HandleTransportDown */
	:: STEP { tcp[t].used && tcp[t].acc == CLOSED && con_open(t) -> c = C(t); fault(c) }
	:: STEP { tcp[t].used && tcp[t].acc == TAKEN && !con_open(t) -> a = A(t); fault(a) }
	:: STEP { tcp[t].used && tcp[t].acc == ACCEPTING && !con_open(t) -> close_acc(t) }
	od
}

/* What a node does by itself. There is no time: a delay may be over at once, or take as
 * long as anything else. */
#if TCPS == 2
#define FREE	(!tcp[0].used -> 0 : (!tcp[1].used -> 1 : NOWHERE))
#else
#define FREE	(!tcp[0].used -> 0 : (!tcp[1].used -> 1 : (!tcp[2].used -> 2 : NOWHERE)))
#endif
#define busy(n, t, y)	(tcp[t].used && (!tcp[t].authed || tcp[t].f.tag != 0 || \
			 len(up(t)) + len(down(t)) > 0 || tcp[t].acc == CLOSED || !con_open(t)))
#define quiet		(!EACH_TCP(busy, _, _) && \
			 (s[0].st != BACKOFF || delayed(0)) && (s[1].st != BACKOFF || delayed(1)))
#define OUT(n)	2 * s[n].tcp + (C(s[n].tcp) == n -> 0 : 1)

#define msgs(n)	(n == 0 -> MSGS0 : MSGS1)

proctype Node(bit n) {
end:	do
	/* go: async/connect.go Messenger.ConnectTo
	 * go: connection/session/session.go Session.Start
	 * go: connection/session/session.go Session.Send */
	:: STEP { s[n].given < msgs(n) && (s[n].st != NONE || can_dial(n)) ->
		s[n].given++;
		if
		:: s[n].st == NONE -> s[n].st = BACKOFF
		:: else -> wake(n)
		fi }
	:: STEP { s[n].st == BACKOFF && (!delayed(n) || quiet) && FREE != NOWHERE -> z = FREE; dial(n, z) }
	:: STEP { s[n].st == WAIT && quiet && FREE != NOWHERE -> z = FREE; dial(n, z) }
#if EARLY
	:: STEP { s[n].st == WAIT && !quiet && early > 0 && FREE != NOWHERE -> early--; z = FREE; dial(n, z) }
#endif
	:: STEP { s[n].st == READY && to_write(n) && nfull(flow[OUT(n)]) -> z = OUT(n); fill(n, flow[z]) }
	od
}

/* An end of t closes by itself: the network broke, a timeout, a worker that gave up. */
#define BREAK(t) \
	:: STEP { breaks > 0 && con_open(t) -> breaks--; c = C(t); fault(c) } \
	:: STEP { breaks > 0 && tcp[t].acc == TAKEN -> breaks--; a = A(t); fault(a) } \
	:: STEP { breaks > 0 && tcp[t].acc == ACCEPTING && tcp[t].authed -> breaks--; close_acc(t) }

inline dies(n, t) {
	if
	:: tcp[t].used && C(t) == n ->
#ifndef LATE_FRAMES
		lose_up(t);
#endif
		if
		:: s[n].tcp == t -> s[n].tcp = NOWHERE; close_con(t)
		:: else
		fi
	:: tcp[t].used && C(t) != n ->
#ifndef LATE_FRAMES
		lose_down(t);
#endif
		if
		:: tcp[t].acc != CLOSED -> close_acc(t)
		:: else
		fi
	:: else
	fi
}

/* Node n dies, and is there again: nothing is left, and its global_seq begins anew. */
inline restart(n) {
	printf("%d restarts\n", n);
	restarts--;
	dies(n, 0); dies(n, 1);
#if TCPS > 2
	dies(n, 2);
#endif
	life[n] = 1 - life[n];
	s[n].st = NONE; s[n].tcp = NOWHERE;
	s[n].gs = 0; s[n].pgs = 0; s[n].cs = 0; s[n].cc = 0; s[n].sc = 0; s[n].crossed = 0;
	s[n].in = 0; s[n].out = 0; s[n].max = 0; s[n].acked = 0; s[n].owed = false; s[n].want = false;
	s[n].given = 0; s[n].fin = 0; s[n].nsent = 0; s[n].resend = 0;
	s[n].dropped = 0; s[n].got = 0; s[n].peer = 0; s[n].met = 0;
	counter[n] = 0; last[n] = 0; lastof[n] = 0
}

proctype World() {
end:	do
	BREAK(0)
	BREAK(1)
#if TCPS > 2
	BREAK(2)
#endif
#if RESTARTS
	:: STEP { restarts > 0 -> restart(0) }
	:: STEP { restarts > 0 -> restart(1) }
#endif
#ifdef LIVE
	:: breaks + restarts > 0 -> break	/* fewer faults than there could be */
#endif
	od
}

#define all_finished	(s[0].given == MSGS0 && s[0].fin == MSGS0 && s[1].given == MSGS1 && s[1].fin == MSGS1)
#define at_rest(n)	(s[n].st == READY || s[n].st == STANDBY)

init {
	atomic {
		run Wire(0); run Wire(1);
#if TCPS > 2
		run Wire(2);
#endif
		run Node(0); run Node(1);
		run World()
	}
#ifndef LIVE
	/* When nothing more can happen */
	timeout ->
	assert(all_finished);				/* V1: everything was delivered */
	assert(at_rest(0) && at_rest(1));
	assert(s[0].tcp == s[1].tcp)			/* V2: attempts that crossed have ended in one */
#endif
}

#ifdef LIVE
ltl v1 { <>[] all_finished }
#endif
