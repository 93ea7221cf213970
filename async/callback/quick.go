package callback

import "runtime"

// poolReturn and workerReturn are where what OnPool and OnWorker call returns to: one place
// in each, since each has one call.
var poolReturn, workerReturn = returnOf(OnPool), returnOf(OnWorker)

// returnOf has mark call a function that looks where it returns to.
func returnOf(mark func(f func())) (pc uintptr) {
	mark(func() {
		var pcs [1]uintptr
		runtime.Callers(2, pcs[:])
		pc = pcs[0]
	})
	return pc
}

// quickFrames is how many frames InsideQuick looks at.
const quickFrames = 64

// InsideQuick is Inside for calls that are made often: it compares the addresses on the stack
// and asks the runtime for no names, which costs a tenth. It allocates nothing.
func InsideQuick() (side Side) {
	var pcs [quickFrames]uintptr
	n := runtime.Callers(2, pcs[:])
	if n == len(pcs) {
		return Inside() // a deep stack
	}
	for _, pc := range pcs[:n] {
		switch pc {
		case poolReturn:
			side = Pool
		case workerReturn:
			side = Worker
		}
	}
	return side
}
