package asynctest

import (
	"errors"
	"fmt"
)

// checkRefused is what C2 says of refusals.
func checkRefused(d *digest) (bad []string) {
	for k, n := range d.nodes {
		if n.end != nil && n.end.Alive &&
			(uint64(n.refused) > n.end.Refused || uint64(n.refused) < n.end.Refused && !n.marked) {
			bad = append(bad, fmt.Sprintf("node %d.%d: refused %d times, told %d times",
				k.node, k.life, n.end.Refused, n.refused))
		}
	}
	return bad
}

// checkTheDead is what C3 says of messengers.
func checkTheDead(d *digest) (bad []string) {
	gone := map[lifeKey]*Record{}
	for i := range d.h.Records {
		r := &d.h.Records[i]
		k := lifeKey{r.Node, r.Life}
		switch r.Kind {
		case RecShutdown, RecDown:
			gone[k] = r
		case RecEnded, RecHealed, RecUp:
		default:
			if end := gone[k]; end != nil {
				bad = append(bad, fmt.Sprintf("%v, after %v", r, end))
			}
		}
	}
	return bad
}

// checkReasons is what C4 says of resets.
func checkReasons(d *digest) (bad []string) {
	for _, c := range d.conns {
		if c.peer >= 0 && (d.h.IsTainted(c.node, c.peer) || d.unlike(c.node, c.peer)) || c.count(RecDisposable) > 0 {
			continue
		}
		for _, r := range c.records {
			if (r.Kind == RecReset && !r.Lossy || r.Kind == RecRemoteReset) && !errors.Is(r.Err, ErrPlanned) {
				bad = append(bad, fmt.Sprintf("%v, though the peer has lost nothing", r))
			}
		}
	}
	return bad
}

// ErrPlanned marks resets that a test has brought about on purpose.
var ErrPlanned = errors.New("asynctest: planned")
