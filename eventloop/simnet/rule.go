package simnet

import (
	"fmt"
	"net/netip"
	"runtime/debug"
	"slices"
	"time"
)

// Kind is what a Packet is.
type Kind uint8

// The kinds of packets.
const (
	Syn    Kind = iota // asks for a connection
	SynAck             // grants it
	Data               // bytes of the stream
	Ack                // room for more bytes; sent only when the other side may need it
	Fin                // end of the stream
	Rst                // end of the connection
)

func (k Kind) String() string {
	return [...]string{"syn", "synack", "data", "ack", "fin", "rst"}[k]
}

// Packet is something that one host sends to another, as rules see it.
type Packet struct {
	Kind Kind
	// Conn identifies the connection, both directions of it, from 1 up.
	Conn uint64
	// From and To are the names of hosts.
	From, To string
	// Src and Dst are the ends of the connection, the sender's first.
	Src, Dst netip.AddrPort
	// FromDialer says that the sender is the side that dialled.
	FromDialer bool
	// Offset of Data in its stream; Data is read only, and valid during the call.
	Offset int64
	Data   []byte
	// Now is the time of sending.
	Now time.Duration
}

// Verdict is what a rule decides about a packet. The zero Verdict has no opinion.
type Verdict struct {
	act   actKind
	after time.Duration
	at    int
	gate  *Gate
}

type actKind uint8

const (
	actPass actKind = iota
	actDeliver
	actStall
	actReset
	actRefuse
	actCut
	actFlip
	actHold
)

// String is the name of what the verdict does, as in Event.Verdict; "" is Pass.
func (v Verdict) String() string { return verdictNames[v.act] }

// Pass leaves the packet to the next rule, and to the network after the last.
func Pass() Verdict { return Verdict{} }

// Deliver delivers the packet, so much later than usual.
func Deliver(after time.Duration) Verdict { return Verdict{act: actDeliver, after: after} }

// Stall keeps the packet, and all that follow on this direction of its
// connection, until the rule is lifted or Recheck is called: what loss looks like
// above TCP. A RST that ends a connection is not repeated by TCP, and gets lost;
// one that answers data for a connection that is no more comes again.
func Stall() Verdict { return Verdict{act: actStall} }

// Reset resets the connection at both ends; the packet is lost.
func Reset() Verdict { return Verdict{act: actReset} }

// Refuse answers a Syn with ECONNREFUSED; other packets as Reset does.
func Refuse() Verdict { return Verdict{act: actRefuse} }

// Cut delivers the first n bytes of the packet's Data and resets the connection at
// both ends then; what was under way in the other direction is lost.
func Cut(n int) Verdict { return Verdict{act: actCut, at: n} }

// Flip delivers the packet with one bit of its Data inverted.
func Flip(bit int) Verdict { return Verdict{act: actFlip, at: bit} }

// Rule decides about packets. It is asked for each packet when that is sent, and
// again when one that it stalled is tried again, and must be deterministic: what
// it draws comes from a seeded generator of its own. p is valid during the call. A
// rule that panics ends the run, see PanicError.
type Rule func(p *Packet) Verdict

// Fault is a rule in force.
type Fault struct {
	net  *Network
	name string
	rule Rule
}

// Add puts a rule behind the others. The first one that has an opinion decides.
// The name is for the trace.
func (n *Network) Add(name string, rule Rule) *Fault {
	n.note("fault", name)
	f := &Fault{net: n, name: name, rule: rule}
	n.rules = append(n.rules, f)
	return f
}

// AddFor is Add for a limited time.
func (n *Network) AddFor(d time.Duration, name string, rule Rule) *Fault {
	f := n.Add(name, rule)
	n.After(d, f.Lift)
	return f
}

// Lift takes the rule out of force; what it stalled goes on. It may be repeated.
func (f *Fault) Lift() {
	for i, other := range f.net.rules {
		if other == f {
			f.net.note("lift", f.name)
			f.net.rules = append(f.net.rules[:i:i], f.net.rules[i+1:]...)
			f.net.Recheck()
			return
		}
	}
}

// Rules are the names of the rules in force, in their order.
func (n *Network) Rules() []string {
	names := make([]string, len(n.rules))
	for i, f := range n.rules {
		names[i] = f.name
	}
	return names
}

// LiftAll lifts all rules.
func (n *Network) LiftAll() {
	if len(n.rules) > 0 {
		n.note("lift", fmt.Sprintf("all %d", len(n.rules)))
		n.rules = nil
		n.Recheck()
	}
}

// Recheck tries all stalled packets again, for rules that have changed their mind.
func (n *Network) Recheck() {
	stalled := n.stalled
	n.stalled = nil
	for _, p := range stalled {
		p.listed = false
		switch {
		case p.stall == nil:
		case p.stall.owner != nil: // that lets it go
			p.list()
		default:
			p.resend(false)
		}
	}
}

// judge asks the rules, and says which one had an opinion.
func (n *Network) judge(pk *packet) (v Verdict, by string) {
	p := &n.asked
	if n.asking { // a rule has lifted another one
		p = new(Packet)
	}
	*p = pk.describe()
	was := n.asking
	n.asking = true
	for _, f := range n.rules {
		if v = n.ask(f, p); v.act != actPass {
			by = f.name
			break
		}
	}
	n.asking = was
	return v, by
}

// ask asks one rule. If it panics the packet stays where it is.
func (n *Network) ask(f *Fault, p *Packet) (v Verdict) {
	defer func() {
		if value := recover(); value != nil {
			copied := *p
			copied.Data = slices.Clone(p.Data)
			n.fail(&PanicError{
				Rule: f.name, Packet: copied, At: n.Now(), Seed: n.seed, Value: value, Stack: string(debug.Stack()),
			})
			v = Stall()
		}
	}()
	return f.rule(p)
}
