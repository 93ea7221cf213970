package dispatch

import (
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// reporter tells of user code that panicked or ended its goroutine. What it calls for
// that is user code too and may do the same: the hook's failure goes to the log, the
// log's to standard error.
type reporter struct {
	who  string                                                 // that panicked, for the log
	hook func(conn msg.Connection, recovered any, stack []byte) // nil: the log
	log  *slog.Logger
}

// report is called by a deferred function with what it recovered; nil is
// runtime.Goexit, and becomes ErrGoexit.
func (r *reporter) report(conn msg.Connection, recovered any) {
	if recovered == nil {
		recovered = ErrGoexit
	}
	stack := debug.Stack()
	if r.hook == nil {
		r.toLog(conn, recovered, stack)
		return
	}
	returned := false
	defer func() {
		if returned {
			return
		}
		second := recover()
		if second == nil {
			second = ErrGoexit
		}
		r.toLog(conn, recovered, stack)
		r.toLog(conn, fmt.Sprintf("the hook that was told of this: %v", second), debug.Stack())
	}()
	r.hook(conn, recovered, stack)
	returned = true
}

// toLog writes it to the log.
func (r *reporter) toLog(conn msg.Connection, recovered any, stack []byte) {
	returned := false
	defer func() {
		if returned {
			return
		}
		second := recover()
		if second == nil {
			second = ErrGoexit
		}
		fmt.Fprintf(os.Stderr, "dispatch: %s panicked: %v\n%s\nand the log that was told of this: %v\n%s\n",
			r.who, recovered, stack, second, debug.Stack())
	}()
	r.log.Error("dispatch: "+r.who+" panicked", "conn", connName(conn), "panic", recovered, "stack", string(stack))
	returned = true
}

func connName(conn msg.Connection) string {
	if conn == nil {
		return "none"
	}
	return conn.String()
}
