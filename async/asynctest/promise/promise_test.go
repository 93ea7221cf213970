package promise

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/stretchr/testify/require"
)

// letters are those of breaches, in their order.
func letters(broken []Breach) string {
	var s []string
	for _, b := range broken {
		s = append(s, b.Letter)
	}
	return strings.Join(s, " ")
}

// TestDelivery: three messages are sent, and a flow is told in words: a number
// arrives, "e" and a number ends well, "f" badly; "to" another connection, another
// "life"; the receiver's session is lost: "forget"; the loss is told: "excuse".
func TestDelivery(t *testing.T) {
	for _, test := range []struct {
		words           string
		at              string // found at once
		l1, session, y1 bool   // broken
		lost            []uint64
		unended         bool
	}{
		{words: "1 2 3 e1 e2 e3"},
		{words: "1 e1 2 e2 to 3 e3"},
		{words: "1 2 3 e3 e1 e2"},
		{words: "1 2 3 e1 e2", l1: true, unended: true},
		{words: "1 2 3 e1 e2 f3", l1: true},
		{words: "1 2 3 e1 e2 e3 e2", at: "C4"},
		{words: "1 2 e1 e2 e3", l1: true, lost: []uint64{3}},
		{words: "e1 e2 e3", l1: true, lost: []uint64{1, 2, 3}},
		{words: "1 3 e1 e2 e3", l1: true, y1: true, lost: []uint64{2}},
		{words: "3 e1 e2 e3", l1: true, y1: true, lost: []uint64{1, 2}},
		{words: "3 excuse e1 e2 e3", l1: true, y1: true},
		{words: "1 3 2 e1 e2 e3", at: "L2"},
		{words: "1 3 to 2 e1 e2 e3"},
		{words: "1 2 2 3 e1 e2 e3", at: "L2", l1: true, session: true, y1: true},
		{words: "1 2 to 2 3 e1 e2 e3", l1: true, session: true, y1: true},
		{words: "1 2 life 2 3 e1 e2 e3", l1: true, y1: true},
		{words: "1 2 forget 2 3 e1 e2 e3", l1: true, y1: true},
		{words: "1 2 forget 2 2 3 e1 e2 e3", at: "L2", l1: true, session: true, y1: true},
		{words: "0 1 2 3 4 e1 e2 e3", at: "B1 B1"},
	} {
		t.Run(test.words, func(t *testing.T) {
			var d Delivery
			var at []Breach
			var to Receiver
			for range 4 {
				d.Send()
			}
			d.Unsend()
			for _, word := range strings.Fields(test.words) {
				n, _ := strconv.ParseUint(strings.TrimLeft(word, "ef"), 10, 64)
				switch {
				case word == "to":
					to.Conn++
				case word == "life":
					to.Life++
				case word == "forget":
					d.Forget()
				case word == "excuse":
					d.Excuse()
				case word[0] == 'e':
					at = append(at, d.End(n, nil)...)
				case word[0] == 'f':
					at = append(at, d.End(n, errors.New("lost"))...)
				default:
					at = append(at, d.Arrive(n, to)...)
				}
			}
			require.Equal(t, test.at, letters(at), "%v", at)
			require.Equal(t, test.l1, len(d.ExactlyOnce()) > 0, "%v", d.ExactlyOnce())
			require.Equal(t, test.session, len(d.OnceASession()) > 0)
			require.Equal(t, test.y1, len(d.Prefix()) > 0, "%v", d.Prefix())
			require.Equal(t, test.lost, d.Lost())
			require.Equal(t, test.unended, len(d.Unended()) > 0)
		})
	}
}

// TestNumbers: the set against a plain one.
func TestNumbers(t *testing.T) {
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		var s numbers
		plain, top := map[uint64]bool{}, uint64(0)
		for range 30 {
			n := 1 + rnd.Uint64N(40)
			require.Equal(t, !plain[n], s.add(n), "seed %d", seed)
			plain[n], top = true, max(top, n)
			require.Equal(t, top-uint64(len(plain)), s.below(), "seed %d", seed)
		}
	}
}

// TestCallbacks: what happens to a connection in words, a delivery with the time at
// which it had come in; sessions become ready at 10, 20, ...
func TestCallbacks(t *testing.T) {
	for _, test := range []struct{ words, want string }{
		{"ready told 15 reset", ""},
		{"ready 5 told", "C1"},
		{"own5", ""},
		{"told ready", "C1 C1"},
		{"ready ready told", "C1"},
		{"ready markdown", ""},
		{"ready told reset 15", "C3"},
		{"ready told markdown told", "C3 C1"},
		{"ready told reset reset", "C2 C2"},
		{"ready told markdown reset", "C2"},
		{"ready told reset markdown reset", "C2 C2"},
		{"ready told reset remote", "C3 C3"},
		{"ready told fault ready told fault ready told", ""},
		{"ready told fault", ""},
		{"ready told fault fault", "C1"},
		{"ready fault told", "C1"},
		{"ready told ready told", "C1"},
		{"ready told reset fault", "C3"},
		{"ready told markdown fault", "C3"},
		{strings.Repeat("ready ", 10) + strings.Repeat("told ", 10), ""}, // too many faults to tell
		{"ready told FastReset Reset", ""},
		{"ready told Reset FastReset", "C2"},
		{"ready told Reset", "C2 C2"},
		{"ready told FastReset", "C2"},
		{"ready told FastReset markdown", ""},
		{"ready told FastRemoteReset RemoteReset", ""},
		{"ready told FastRemoteReset FastRemoteReset RemoteReset RemoteReset", ""},
		{"ready told RemoteReset FastRemoteReset", "C2"},
		{"ready told FastRemoteReset RemoteReset RemoteReset", "C2 C2"},
		{"ready told FastRemoteReset", "C2"},
		{"ready told FastReset FastRemoteReset markdown", "C3"},
		{"ready told broken", "C2"},
		{"ready told broken reset", ""},
		{"ready told broken markdown", ""},
		{"ready told remote 15", "C3"},
		{"ready told remote fault ready told 25", ""},
		{"ready told remote fault ready told 15", "C3"},
		{"ready told ready fault remote 25 told", ""},
		{"ready told ready fault remote 15 told", "C3"},
	} {
		t.Run(test.words, func(t *testing.T) {
			var c Callbacks
			var broken []Breach
			readies := 0
			for _, word := range strings.Fields(test.words) {
				switch word {
				case "ready":
					readies++
					c.Ready(time.Duration(10 * readies))
				case "told":
					broken = append(broken, c.Told()...)
				case "remote":
					broken = append(broken, c.FastRemoteReset()...)
					broken = append(broken, c.RemoteReset()...)
				case "reset":
					broken = append(broken, c.FastReset()...)
					broken = append(broken, c.Reset()...)
				case "fault":
					broken = append(broken, c.Fault()...)
				case "FastRemoteReset":
					broken = append(broken, c.FastRemoteReset()...)
				case "RemoteReset":
					broken = append(broken, c.RemoteReset()...)
				case "FastReset":
					broken = append(broken, c.FastReset()...)
				case "Reset":
					broken = append(broken, c.Reset()...)
				case "markdown":
					c.MarkDown()
				case "broken":
					c.Ended(fmt.Errorf("told: %w", msg.ErrReset))
				default:
					at, own := strings.CutPrefix(word, "own")
					n, err := strconv.Atoi(at)
					require.NoError(t, err)
					broken = append(broken, c.Deliver(own, time.Duration(n))...)
				}
			}
			broken = append(broken, c.Settle()...)
			require.Equal(t, test.want, letters(broken), "%v", broken)
		})
	}
}
