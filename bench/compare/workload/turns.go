package workload

import "sync"

// turns is a line of connections without a request in flight.
type turns struct {
	mu   sync.Mutex
	line []int // a ring
	head int
	n    int
}

func newTurns(connections int) *turns {
	t := &turns{line: make([]int, connections), n: connections}
	for i := range t.line {
		t.line[i] = i
	}
	return t
}

// next takes the first of the line.
func (t *turns) next() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.take()
}

// pass puts conn at the end of the line and takes the first.
func (t *turns) pass(conn int) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.line[(t.head+t.n)%len(t.line)] = conn
	t.n++
	return t.take()
}

func (t *turns) take() int {
	conn := t.line[t.head]
	t.head = (t.head + 1) % len(t.line)
	t.n--
	return conn
}
