package rpc

import "sync"

// Concurrent has requests handled on goroutines of their own, at most n at a time, so that a
// handler that blocks holds up neither its connection nor other requests; in no order. As many
// again as Waiting says, 16 for each of the n by default, wait for one to end; what comes then is
// answered with CodeOverloaded at once. The goroutines end when nothing waits.
func Concurrent(n int) HandlerOption {
	return func(h *handler) { h.groupOf().width = max(n, 1) }
}

// Waiting is how many requests, and how many bytes of their bodies, may wait for a handler that is
// Concurrent; 0 means 16 for each of its goroutines, and 64 MiB.
func Waiting(requests int, bytes int64) HandlerOption {
	return func(h *handler) {
		h.groupOf().waitMax, h.groupOf().bytesMax = requests, bytes
	}
}

func (h *handler) groupOf() *group {
	if h.group == nil {
		h.group = &group{width: 1}
	}
	return h.group
}

// group are the goroutines of one handler.
type group struct {
	width    int
	waitMax  int   // 0: the default
	bytesMax int64 // 0: the default

	mu      sync.Mutex
	running int
	waiting []*serverCall
	head    int
	bytes   int64 // of what waits
}

// add has sc handled, now or later, or refuses it.
func (g *group) add(sc *serverCall) {
	n := sc.ctx.n
	waitMax, bytesMax := g.waitMax, g.bytesMax
	if waitMax == 0 {
		waitMax = 16 * g.width
	}
	if bytesMax == 0 {
		bytesMax = 64 << 20
	}
	g.mu.Lock()
	switch {
	case g.running < g.width:
		g.running++
		g.mu.Unlock()
		n.opts.Go(func() { g.run(sc) })
		return
	case len(g.waiting)-g.head < waitMax && (g.bytes == 0 || g.bytes+int64(len(sc.Body)) <= bytesMax):
		g.waiting = append(g.waiting, sc)
		g.bytes += int64(len(sc.Body))
		g.mu.Unlock()
		return
	}
	g.mu.Unlock()
	sc.ctx.sh.counts.Overloaded.Add(1)
	sc.finish(nil, Errorf(CodeOverloaded, "%d requests of type %#04x are being handled, and %d wait",
		g.width, sc.Type, waitMax))
}

// run handles sc and then what waits.
func (g *group) run(sc *serverCall) {
	over := false
	defer func() {
		if !over { // the handler has ended the goroutine: another one goes on
			if next := g.next(); next != nil {
				sc.ctx.n.opts.Go(func() { g.run(next) })
			}
		}
	}()
	for sc != nil {
		sc.ctx.n.serve(sc)
		sc = g.next()
	}
	over = true
}

// next takes what has waited longest, or nil, and one runs less then.
func (g *group) next() *serverCall {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.head == len(g.waiting) {
		g.running--
		g.waiting, g.head = g.waiting[:0], 0
		return nil
	}
	sc := g.waiting[g.head]
	g.waiting[g.head] = nil
	if g.head++; g.head > len(g.waiting)/2 {
		g.waiting = append(g.waiting[:0], g.waiting[g.head:]...)
		g.head = 0
	}
	g.bytes -= int64(len(sc.Body))
	return sc
}
