// Package promise judges what messengers promise by what happens, as it happens: a
// Delivery is told of the messages of one flow, Callbacks of what the user of one
// connection hears. The histories of asynctest, the systems of msgr sim and the demo
// feed the same judges, so that a letter means one thing everywhere:
//
//	L1  over a lossless session everything arrives, and ends, exactly once
//	L2  the messages of a flow arrive in the order of their sending
//	Y1  over a lossy session what was sent first arrives: nothing twice, no holes
//	B1  what arrives was sent
//	C1  each session that becomes ready is told once, before its first message, and
//	    once that its transport was lost, before the next one
//	C2  a reset is told at most once, and not after a mark down; what ends by a
//	    reset is followed by one; each reset and remote reset is told on the worker
//	    once before
//	C3  nothing arrives or is told after the end of a connection
//	C4  each sending has one end, and nothing is lost without a word
//
// Who feeds them knows which flows a judgement is for: a crash of an end excuses
// much. The judges remember flows and connections and not messages, and are not safe
// for concurrent use.
//
// Implementation: not for users of the library; may change in any release.
package promise

import "fmt"

// Breach is a promise that was broken.
type Breach struct {
	Letter string
	What   string // to be read behind the name of the flow or connection
}

func (b Breach) String() string { return b.Letter + ": " + b.What }

func breach(letter, format string, args ...any) Breach {
	return Breach{letter, fmt.Sprintf(format, args...)}
}
