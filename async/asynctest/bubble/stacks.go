package bubble

import (
	"fmt"
	"regexp"
	"runtime"
	"strconv"
	"strings"
)

// others are the stacks of the goroutines in the bubble, apart from the caller's, the
// driver's and what belongs to package testing.
func (g *guard) others() (stacks []string) {
	in := fmt.Sprintf("synctest bubble %d]:", g.bubble.Load())
	buf := make([]byte, 1<<20)
	for {
		n := runtime.Stack(buf, true)
		if n < len(buf) || n >= 64<<20 {
			buf = buf[:n]
			break
		}
		buf = make([]byte, 2*len(buf))
	}
	for i, s := range strings.Split(string(buf), "\n\n") {
		head, _, _ := strings.Cut(s, "\n")
		if i == 0 || !strings.HasSuffix(head, in) || strings.Contains(head, "[synctest.Run") ||
			strings.Contains(s, "bubble.(*World).drive(") ||
			strings.Contains(s, "testing/synctest.testingSynctestTest(") {
			continue
		}
		stacks = append(stacks, strings.TrimSpace(s))
	}
	return stacks
}

// stacksMax is how many different stacks are shown.
const stacksMax = 64

// vary is what differs in the stacks of goroutines that are at the same place.
var vary = regexp.MustCompile(
	`^goroutine \d+ |\(0x[^)]*\)| \+0x[0-9a-f]+|in goroutine \d+|\{0x[^}]*\}|0x[0-9a-f]+\??`)

// alike shows of goroutines that are at the same place one, and how many there are.
func alike(stacks []string) string {
	count := map[string]int{}
	var first []string
	for _, s := range stacks {
		key := vary.ReplaceAllString(s, "")
		if count[key]++; count[key] == 1 {
			first = append(first, s)
		}
	}
	var b strings.Builder
	for i, s := range first {
		if i == stacksMax {
			fmt.Fprintf(&b, "and goroutines at %d other places\n", len(first)-stacksMax)
			break
		}
		if n := count[vary.ReplaceAllString(s, "")]; n > 1 {
			fmt.Fprintf(&b, "%d goroutines, one of them:\n", n)
		}
		b.WriteString(s + "\n\n")
	}
	return b.String()
}

// firstLine is the line that heads the stack of the caller.
func firstLine() string {
	var buf [128]byte
	line, _, _ := strings.Cut(string(buf[:runtime.Stack(buf[:], false)]), "\n")
	return line
}

// goroutineID is the number of the calling goroutine, which the runtime tells in stacks
// alone.
func goroutineID() uint64 {
	_, rest, _ := strings.Cut(firstLine(), " ")
	digits, _, _ := strings.Cut(rest, " ")
	id, err := strconv.ParseUint(digits, 10, 64)
	if err != nil {
		panic("bubble: a stack begins with " + strconv.Quote(firstLine()))
	}
	return id
}

// bubbleOf is the number of the bubble in the first line of a stack.
func bubbleOf(line string) uint64 {
	_, digits, _ := strings.Cut(line, "synctest bubble ")
	id, err := strconv.ParseUint(strings.TrimSuffix(digits, "]:"), 10, 64)
	if err != nil {
		panic("bubble: a stack begins with " + strconv.Quote(line))
	}
	return id
}
