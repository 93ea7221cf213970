package asynctest

import (
	"fmt"
	"strings"
	"time"
	"unicode"
)

// Scenario is a run described by text, one step a line; # begins a comment:
//
//	seed 7                            what everything random comes from; first line, optional
//	node a policy=lossless_peer       a messenger; also workers=2 keepalive=5s throttle=10000 nonce=same;
//	                                  compress=zlib: frames from 200 bytes on, with those that offer it too
//	nodes 50 prefix=n                 fifty of them, n1 to n50; with the options of node
//	links latency=40ms spread=20ms    what all links are, but for those of link lines: from 40 to 60 ms;
//	                                  among the nodes
//	link a b latency=1ms bandwidth=1000000
//	connect a b                       a begins to connect to b
//	send a b 10 size=100 prio=63      a sends b ten tracked messages
//	cut a b at 137                    cuts the next connection of a to b before byte 137 of what a writes
//	cut a b                           resets what connects a and b
//	cut b                             resets all connections of b
//	partition a | b c                 nothing passes between the groups
//	oneway a b                        nothing passes from a to b
//	refuse b                          nobody can connect to b
//	hold a b SERVER_IDENT             what a sends to b waits, from the next frame of that kind on
//	stall a b                         nothing passes between them: half-open, when they are connected
//	release a b                       what was held or stalled between them goes on
//	reset a b SERVER_IDENT            resets the connection when a sends b such a frame
//	fault a b                         a takes its connection with b for broken; b has not noticed
//	stick a, free a                   the dispatchers of a stand still, and go on
//	busy a b 5s                       that of a takes so long for each message of b
//	clock a drift=-800ms skew=8760h   from now on a's clocks lose 800 ms each second, and its time of
//	                                  day is a year ahead besides; without either it is right again
//	faults 2/s kinds=cut,stall        from now on two faults a second, at times and places from the seed;
//	                                  kinds are cut, stall, pause and kill
//	faults none                       and no more of those; what they do ends by itself
//	heal                              lifts all faults, and no more faults
//	crash a, kill a, restart a        power failure, end of process, and its next life
//	pause a, resume a                 its process stands still, while its kernel takes what fits, and goes on
//	mark_down a b                     a closes its connection with b
//	keepalive a b                     a asks b for a sign of life
//	traffic a b every=10ms            a sends b a message each 10 ms; also size=100 prio=63 count=1000
//	traffic ring every=10ms           each node to the one after it; also star: all to the first;
//	                                  random: to anybody; gossip peers=4: to one of four, always the same
//	traffic stop                      and no more of all that
//	run 5s                            virtual time passes
//	at 5s                             the same, up to five seconds after the beginning
//	until delivered a b 10            runs until an expectation holds, an hour at most
//	expect delivered a b 10           messages of a that b has dispatched
//	expect remote_reset a             what a was told: connect, accept, reset, remote_reset, refused;
//	expect reset a 0                  with a number: exactly so often
//	expect connected a b 1            connections of a with b that are established: 0 or 1
//	expect faults a 2                 transports that a has lost; also received, sent, replayed,
//	                                  compressed, decompressed
//	expect dials a b 2                connections that a has begun to b
//	check                             every promise of the messenger (see Checkers)
//	check exactly_once                or one: exactly_once, prefix, nothing_held
//	print a                           a line about the node
type Scenario struct {
	// Name is the file's, for messages.
	Name  string
	Seed  uint64
	nodes []nodePlan
	links linksPlan
	steps []step
	lines []string // of the text
	// What Length says.
	length time.Duration
	open   bool
}

// Length is the virtual time that the steps take; known is false if some of them wait for what
// may happen at any time, which is not counted.
func (s *Scenario) Length() (d time.Duration, known bool) { return s.length, !s.open }

// scenarioNodesMax is how many nodes a scenario may have.
const scenarioNodesMax = 20_000

// Nodes are the names of the nodes, in the order of their coming. Their hosts are osd.0,
// osd.1 and so on.
func (s *Scenario) Nodes() []string {
	names := make([]string, len(s.nodes))
	for i := range s.nodes {
		names[i] = s.nodes[i].name
	}
	return names
}

// step is one line.
type step struct {
	pos  Pos
	text string
	do   func(r *scenarioRun) error
}

// Pos is a place in a scenario; lines and columns count from 1.
type Pos struct {
	File         string
	Line, Column int
}

func (p Pos) String() string { return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column) }

// ScenarioError says where a scenario cannot be parsed, or where its run failed.
type ScenarioError struct {
	Pos Pos
	Msg string
}

func (e *ScenarioError) Error() string { return fmt.Sprintf("%v: %s", e.Pos, e.Msg) }

// word is a field of a line.
type word struct {
	text string
	pos  Pos
}

func (w word) errorf(format string, args ...any) error {
	return &ScenarioError{w.pos, fmt.Sprintf(format, args...)}
}

// ParseScenario reads a scenario. An error is a *ScenarioError with line and column.
func ParseScenario(name string, text []byte) (*Scenario, error) {
	p := &scenarioParser{s: &Scenario{Name: name, Seed: 1}, nodes: map[string]int{}}
	p.s.lines = strings.Split(string(text), "\n")
	for i, line := range p.s.lines {
		verb, do, err := p.step(i+1, line)
		if err != nil {
			return nil, err
		}
		if do != nil {
			p.s.steps = append(p.s.steps, step{verb.pos, strings.TrimSpace(line), do})
		}
	}
	return p.s, nil
}

// step parses a line; do is nil if it is not a step.
func (p *scenarioParser) step(no int, line string) (verb word, do func(*scenarioRun) error, err error) {
	words, err := splitLine(p.s.Name, no, line)
	if err != nil || len(words) == 0 {
		return verb, nil, err
	}
	p.words, p.verb = words[1:], words[0]
	p.end = word{"", Pos{p.s.Name, no, len(strings.TrimRight(line, " \t\r")) + 1}}
	do, err = p.line()
	if err == nil && len(p.words) > 0 {
		err = p.words[0].errorf("unexpected %q", p.words[0].text)
	}
	return p.verb, do, err
}

func splitLine(file string, no int, line string) (words []word, err error) {
	for i := 0; i < len(line); {
		switch c := line[i]; {
		case c == '#':
			return words, nil
		case c == ' ' || c == '\t' || c == '\r':
			i++
		default:
			start := i
			for i < len(line) && line[i] != ' ' && line[i] != '\t' && line[i] != '\r' && line[i] != '#' {
				if line[i] > unicode.MaxASCII || line[i] < ' ' {
					return nil, &ScenarioError{Pos{file, no, i + 1}, fmt.Sprintf("unexpected byte %#x", line[i])}
				}
				i++
			}
			words = append(words, word{line[start:i], Pos{file, no, start + 1}})
		}
	}
	return words, nil
}

// ScenarioResult is what became of a scenario.
type ScenarioResult struct {
	// Log says what happened, one line each; it is the same for each run.
	Log []string
	// Err is the first step that failed (*ScenarioError), a *Failure, or nil.
	Err             error
	Sent, Delivered int
	// Faults are those that faults lines made, Unsent what traffic lines could not send.
	Faults, Unsent int

	Virtual time.Duration
	Hash    uint64
}
