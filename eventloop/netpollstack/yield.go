//go:build linux && (amd64 || arm64 || loong64) && !asyncmsgr_gosched

package netpollstack

import _ "unsafe" // for go:linkname

// yieldLocal is runtime.Gosched that wakes nobody: the goroutine goes to the end of the queue of
// its own P, and what was there before it runs first. Gosched puts the goroutine in the queue of
// all Ps, and wakes a thread for each P that is idle to fetch it from there, while the
// caller's own thread fetches it first: a worker that yields twice for each message had 4 to 7
// switches of context for it, of which 2 are needed. Nothing that is exported does without.
// Go keeps the name and the signature for those who link to it (go.dev/issue/67401). With the build
// tag asyncmsgr_gosched it is Gosched. See docs/decisions/0015-a-worker-holds-its-processor.md.
//
//go:linkname yieldLocal runtime.goyield
func yieldLocal()
