package playground

// Step is a line of a scenario, for the help of the page; asynctest.Scenario has them all.
type Step struct {
	Verb  string `json:"verb"`
	Usage string `json:"usage"`
	About string `json:"about"`
	// Act says that it can be done while a scenario runs.
	Act bool `json:"act"`
}

// Steps are those that the page explains.
var Steps = []Step{
	{"seed", "seed 7", "what everything random comes from; the first line", false},
	{"node", "node a policy=lossless_peer",
		"a messenger; also workers=2 keepalive=5s throttle=10000 nonce=same compress=zlib", false},
	{"nodes", "nodes 8 prefix=n policy=lossless_peer", "several of them: n1 to n8", false},
	{"links", "links latency=40ms spread=20ms", "what all links are; also bandwidth=1000000, in bytes a second", false},
	{"run", "run 5s", "virtual time passes", false},
	{"at", "at 5s", "it passes up to five seconds after the beginning", false},
	{"until", "until delivered a b 10", "it passes until that holds, an hour at most", false},
	{"link", "link a b latency=1ms bandwidth=1000000", "what the link between two nodes is", true},
	{"connect", "connect a b", "a begins to connect to b", true},
	{"send", "send a b 10 size=100 prio=63", "a sends b ten messages", true},
	{"traffic", "traffic a b every=10ms size=100 prio=63 count=1000", "a sends b a message each 10 ms; " +
		"instead of a b also ring, star, random, gossip peers=4; traffic stop ends all", true},
	{"cut", "cut a b", "resets what connects a and b; cut a: all connections of a; cut a b at 137: at that byte", true},
	{"stall", "stall a b", "nothing passes between them, and nobody is told", true},
	{"release", "release a b", "what was stalled or held between them goes on", true},
	{"partition", "partition a b | c d", "nothing passes between the groups", true},
	{"oneway", "oneway a b", "nothing passes from a to b", true},
	{"refuse", "refuse a", "nobody can connect to a", true},
	{"hold", "hold a b SERVER_IDENT", "what a sends to b waits, from the next frame of that kind on", true},
	{"reset", "reset a b SERVER_IDENT", "resets the connection when a sends b such a frame", true},
	{"fault", "fault a b", "a takes its connection with b for broken; b has not noticed", true},
	{"faults", "faults 2/s kinds=cut,stall,pause,kill", "two a second, from the seed; faults none ends them", true},
	{"heal", "heal", "lifts all faults, and no more faults", true},
	{"stick", "stick a", "the dispatchers of a stand still", true},
	{"free", "free a", "and go on", true},
	{"busy", "busy a b 50ms", "that of a takes so long for each message of b", true},
	{"pause", "pause a", "the process stands still; its kernel takes what fits", true},
	{"resume", "resume a", "and goes on", true},
	{"clock", "clock a skew=5s drift=-100ms", "a's time of day is 5 s ahead, its clocks lose 100 ms a second; " +
		"clock a: it is right again", true},
	{"kill", "kill a", "the end of the process: its connections are reset", true},
	{"crash", "crash a", "a power failure: nobody is told", true},
	{"restart", "restart a", "its next life, which knows nothing of before", true},
	{"mark_down", "mark_down a b", "a closes its connection with b", true},
	{"keepalive", "keepalive a b", "a asks b for a sign of life", true},
	{"expect", "expect delivered a b 10", "the run stops if that does not hold; also connected a b 1, dials a b 2, " +
		"and of one node: connect, accept, reset, remote_reset, refused, faults, received, sent, replayed", true},
	{"check", "check", "the run stops if a promise is broken; also exactly_once, prefix, nothing_held", true},
	{"print", "print a", "a line about the node", true},
}
