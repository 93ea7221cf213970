package asynctest

import "slices"

// Checker judges a history by one promise of the messenger.
type Checker struct {
	// Letter is the promise's short name, Promise says it in a sentence.
	Letter, Promise string
	// check judges what the judges of package promise do not see; nil: nothing.
	check func(d *digest) []string
}

// Check returns how h breaks the promise, one line each.
func (c Checker) Check(h *History) []string { return c.judge(newDigest(h)) }

func (c Checker) judge(d *digest) []string {
	bad := slices.Clone(d.found[c.Letter])
	if c.check != nil {
		bad = append(bad, c.check(d)...)
	}
	return bad
}

// Checkers are all promises that can be judged by a history.
func Checkers() []Checker {
	return []Checker{
		{"L1", "a lossless session that lives at both ends delivers what was sent exactly once", nil},
		{"L2", "messages of one connection and priority arrive in the order of sending, " +
			"and a higher priority overtakes what waits", checkOvertaking},
		{"L3", "sequence numbers of a session rise by one, acknowledgements never fall", checkL3},
		{"L4", "nothing is acknowledged before it was sent, and nothing forgotten before it is acknowledged", checkL4},
		{"L5", "what a remote reset drops is reported, and does not arrive afterwards", checkL5},
		{"Y1", "a lossy session delivers what was sent first: in order, nothing twice, no holes", nil},
		{"B1", "what arrives is what was sent", checkB1},
		{"C1", "each time a session becomes ready its user is told once, before the first message", nil},
		{"C2", "a reset is told at most once, always unless the user closed the connection himself, and not after that",
			checkRefused},
		{"C3", "nothing is delivered or told after the end of a connection, nor before its beginning", checkTheDead},
		{"C4", "nothing is lost without a word, and lossless sessions are not reset without a reason", checkReasons},
		{"R1", "throttles bound what is held, and are given back", checkR1},
		{"R2", "nothing is left after the end", checkR2},
		{"V1", "a healed network brings everything home in bounded time", checkV1},
		{"V2", "attempts to connect are counted, those that cross end in one, and a healed network needs few", checkV2},
		{"E1", "trouble costs a bounded number of connections, faults and replays, and no peer is accused of a breach",
			checkE1},
		{"V3", "a stuck dispatcher does not hold up other connections", checkV3},
	}
}

// Violations judges the history by all promises: one line per violation, which
// begins with the letter.
func (h *History) Violations() (lines []string) {
	d := newDigest(h)
	for _, c := range Checkers() {
		for i, v := range c.judge(d) {
			if i == 5 {
				lines = append(lines, c.Letter+": ...")
				break
			}
			lines = append(lines, c.Letter+": "+v)
		}
	}
	return lines
}

// CheckPromises fails the test unless the cluster's history keeps all promises.
// Call it when the network is at rest; it needs Options.History.
func (c *Cluster) CheckPromises() {
	c.tb.Helper()
	c.CloseHistory()
	c.report(c.History.Violations())
}

// CloseHistory enters what the messengers hold at the end of a run, for checkers.
func (c *Cluster) CloseHistory() {
	h := c.History
	h.Broken = append(h.Broken, c.ledger.broken...)
	for _, n := range c.Nodes {
		if !n.Down {
			n.closeLife(true)
		}
	}
}
