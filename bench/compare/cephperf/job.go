package cephperf

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// latencyMax bounds what is recorded, in nanoseconds: longer ones count as this.
const latencyMax = int64(time.Minute)

// job is one connection of a client and its requests.
type job struct {
	c    *client
	conn msg.Connection
	m    messenger

	mu       sync.Mutex
	sent     int
	answered int
	odd      int     // replies to nothing
	over     bool    // what comes does not count
	since    []int64 // of each slot: when its request was sent, in nanoseconds; -1: free
	hist     *hdrhistogram.Histogram
	free     chan int // slots, with think time
	ready    func()
}

func newJob(c *client) *job {
	j := &job{c: c, since: make([]int64, c.Window), hist: hdrhistogram.New(100, latencyMax, 3),
		free: make(chan int, c.Window)}
	for i := range j.since {
		j.since[i] = -1
		j.free <- i
	}
	return j
}

// run sends the first window; replies send the rest. With think time it sends all and
// returns after that, or with ctx.
func (j *job) run(ctx context.Context) {
	if j.c.Think == 0 {
		for slot := range min(j.c.Window, j.c.Messages) {
			j.send(slot)
		}
		return
	}
	pause := time.NewTimer(0)
	defer pause.Stop()
	for range j.c.Messages {
		select {
		case slot := <-j.free:
			j.send(slot)
		case <-ctx.Done():
			return
		}
		pause.Reset(j.c.Think)
		select {
		case <-pause.C:
		case <-ctx.Done():
			return
		}
	}
}

// send sends a request, unless all are sent: replies may have come and sent the next ones
// before run has sent the first window.
func (j *job) send(slot int) {
	j.mu.Lock()
	if j.sent == j.c.Messages {
		j.mu.Unlock()
		return
	}
	j.sent++
	j.since[slot] = j.c.now()
	j.mu.Unlock()
	m := msg.New(typeRequest, requestFront)
	copy(m.Front, j.c.front)
	m.Version, m.Compat = requestVersion, requestCompat
	m.TID, m.Data = uint64(slot), j.c.data
	if err := j.conn.Send(m); err != nil {
		m.Release()
		j.c.fail(err)
	}
}

// CanFastDispatch implements msg.FastDispatcher.
func (j *job) CanFastDispatch(m *msg.Message) bool { return m.Type == typeReply && !j.c.Queue }

// FastDispatch implements msg.FastDispatcher.
func (j *job) FastDispatch(m *msg.Message) { j.Dispatch(m) }

// Dispatch implements msg.Dispatcher.
func (j *job) Dispatch(m *msg.Message) bool {
	switch m.Type {
	case typeReply:
		slot := m.TID
		m.Release()
		j.reply(slot)
	case typeUsage:
		select {
		case j.c.usages <- append([]byte(nil), m.Front...):
		default: // it was not asked for
		}
		m.Release()
	default:
		return false
	}
	return true
}

// reply takes the reply to the request in a slot and, without think time, sends the
// next one.
func (j *job) reply(slot uint64) {
	now := j.c.now()
	j.mu.Lock()
	if j.over {
		j.mu.Unlock()
		return
	}
	if slot >= uint64(len(j.since)) || j.since[slot] < 0 {
		j.odd++
		j.mu.Unlock()
		return
	}
	_ = j.hist.RecordValue(min(now-j.since[slot], latencyMax))
	j.since[slot] = -1
	j.answered++
	last := j.answered == j.c.Messages
	j.mu.Unlock()
	j.c.answered.Add(1)
	switch {
	case last:
		j.c.left.Done()
	case j.c.Think > 0:
		j.free <- int(slot) // has room for all slots
	default:
		j.send(int(slot))
	}
}

// HandleConnect implements msg.ConnectHandler.
func (j *job) HandleConnect(msg.Connection) { j.ready() }

// HandleReset implements msg.ResetHandler: what was in flight is lost.
func (j *job) HandleReset(_ msg.Connection, reason error) bool {
	j.c.fail(fmt.Errorf("a connection ended: %w", reason))
	return true
}

// HandleRefused implements msg.RefusedHandler. The messenger goes on trying.
func (j *job) HandleRefused(_ msg.Connection, err error) bool {
	j.c.refused.Store(&err)
	return true
}

func (j *job) stop(ctx context.Context) error {
	if j.m == nil {
		return nil
	}
	return j.m.Shutdown(ctx)
}

var errLost = errors.New("messages were lost")
