//go:build linux && (amd64 || arm64 || loong64)

package netpollstack

import (
	"testing"

	"github.com/asyncmsgr/asyncmsgr/eventloop"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// While large payloads come, little is received behind each; two reads without one
// end that.
func TestSpill(t *testing.T) {
	w := &worker{scratch: make([]byte, defaultReadBuffer)}
	tr, budget := &transport{w: w}, 1<<20
	spill := func(direct int) int { return tr.spill(direct, budget) }
	require.Equal(t, defaultReadBuffer, spill(0), "nothing is known")
	require.Equal(t, defaultReadBuffer, spill(bulkMin-1), "not large")
	require.Equal(t, spillMax, spill(bulkMin), "large")
	require.Equal(t, spillMax, spill(100), "the end of a large one")
	require.Equal(t, spillMax, spill(0), "between two of them")
	require.Equal(t, spillMax, spill(60<<10))
	require.Equal(t, spillMax, spill(0))
	require.Equal(t, defaultReadBuffer, spill(0), "what is small came instead")
	require.Zero(t, tr.spill(2<<20, budget), "more than the round may receive")
	require.Equal(t, spillMax, tr.spill(budget, budget), "as much as it may")
	w.scratch = make([]byte, 1000)
	require.Equal(t, 1000, spill(bulkMin), "all there is")
}

// eater notes when it receives and when it may write.
type eater struct {
	idle
	log *[]string
}

func (e *eater) HandleRead(int, []byte) {
	*e.log = append(*e.log, "read")
	e.t.WantFlush()
	e.post()
}
func (e *eater) HandleFlush() { *e.log = append(*e.log, "flush") }
func (e *eater) post() {
	log := e.log
	_ = e.w().Post(eventloop.TaskFunc(func() { *log = append(*log, "task") }))
}
func (e *eater) w() *worker { return e.t.(*transport).w }

// What a round has received leads to writes before it has received everything.
func TestLongRoundWritesInBetween(t *testing.T) {
	const conns, each = 4, flushAfter / 2
	s := openStack(t, Config{Workers: 1})
	w := s.workers[0]
	var log []string
	do(t, w, func() {
		for range conns {
			fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
			if !assert.NoError(t, err) {
				return
			}
			t.Cleanup(func() { unix.Close(fds[1]) })
			_, err = unix.Write(fds[1], make([]byte, each))
			assert.NoError(t, err)
			e := &eater{log: &log, idle: *newIdle()}
			e.t = w.adopt(fds[0], loopback, loopback, 0, e)
		}
	})
	for range 4 { // rounds: all have received by then, and written
		do(t, w, func() {})
	}
	do(t, w, func() {
		assert.Equal(t, []string{
			"read", "read", "task", "task", "flush", "flush",
			"read", "read", "task", "task", "flush", "flush",
		}, log)
	})
}
