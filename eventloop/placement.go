package eventloop

import "sync/atomic"

// Placement chooses workers for new connections: the least loaded one, equal
// ones in turn. The zero value is ready; any goroutine may use it.
//
// Implementation: not for users of the library; may change in any release.
type Placement struct{ next atomic.Uint32 }

// Pick returns the index, 0 <= i < n, with the smallest load(i).
func (p *Placement) Pick(n int, load func(i int) int) int {
	best := int(p.next.Load()) % n
	least := load(best)
	for k, i := 1, best; k < n; k++ {
		if i++; i == n {
			i = 0
		}
		if l := load(i); l < least {
			best, least = i, l
		}
	}
	p.next.Store(uint32(best) + 1)
	return best
}
