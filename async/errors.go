package async

import "errors"

// ErrPanic: a dispatcher panicked; its connection was faulted for it.
var ErrPanic = errors.New("msgr: dispatcher panicked")
