//go:build linux && (amd64 || arm64 || loong64)

package netpollstack

// worklist holds values that are worked off at one point of each round. A value that is
// added during the walk is for the next round, and a walk that user code has ended is
// continued by the next round. Two slices change places, so that nothing is allocated in
// the steady state.
type worklist[T any] struct {
	in, out []T
	next    int // out[next:] is still to be taken
}

func (l *worklist[T]) add(v T) { l.in = append(l.in, v) }

// begin begins a walk, unless the last one has not come to its end.
func (l *worklist[T]) begin() {
	if l.next == len(l.out) {
		l.in, l.out = l.out[:0], l.in
		l.next = 0
	}
}

// take returns the next element of the walk, false at its end.
func (l *worklist[T]) take() (v T, ok bool) {
	if l.next == len(l.out) {
		return v, false
	}
	var none T
	v, l.out[l.next] = l.out[l.next], none
	l.next++
	return v, true
}

// empty says that nothing is left for any walk.
func (l *worklist[T]) empty() bool { return len(l.in) == 0 && l.next == len(l.out) }
