package playground

import "runtime/debug"

// In a browser there is one thread, which the garbage collector stops for as long as it takes.
// So it comes less often than usual, as long as there is less than a gigabyte.
func init() {
	debug.SetGCPercent(400)
	debug.SetMemoryLimit(1 << 30)
}
