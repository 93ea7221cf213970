//go:build linux && (amd64 || arm64 || loong64)

package netpollstack

import (
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/eventloop"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// looks plays n turns in which looking succeeds or not, and returns which of them look.
func looks(b *busyPoll, n int, success bool) (at []int) {
	for i := range n {
		if b.again() {
			at = append(at, i)
			b.was(success)
		}
	}
	return at
}

func TestBusyPollGuesses(t *testing.T) {
	var b busyPoll
	require.Len(t, looks(&b, 1000, true), 1000, "each turn, while it succeeds")
	require.Equal(t, []int{0, 2, 6, 14, 30, 62, 126, 190, 254}, looks(&b, 300, false), "ever less, down to one in 64")
	const out = 254 + 64 - 300 // turns still left out
	require.Len(t, looks(&b, out+10, true), 10, "each turn again after one success")
	require.Equal(t, []int{0, 2}, looks(&b, 3, false))
}

// TestLookFor: a worker that netpoll does not know, whose eventfd begins readable.
func TestLookFor(t *testing.T) {
	w, err := newWorker(&stack{cfg: Config{}.withDefaults(), clock: eventloop.SystemClock()}, 0)
	require.NoError(t, err)
	defer w.closeDescriptors()
	require.True(t, w.lookFor(time.Hour))
	require.True(t, w.lookFor(time.Hour), "the event was swallowed")
	require.Len(t, w.poll.wait(), 1)
	require.False(t, w.lookFor(0))
	require.False(t, w.lookFor(time.Millisecond))
	for _, holds := range []bool{true, false} {
		require.False(t, w.wait(time.Millisecond, holds))
	}
	go w.kick()
	require.True(t, w.lookFor(time.Hour))
	for _, holds := range []bool{true, false} {
		require.True(t, w.wait(time.Hour, holds), "the event was swallowed")
	}
}

// TestCrowd: a worker that has had many events since it woke up does not look for more.
func TestCrowd(t *testing.T) {
	w := openStack(t, Config{Workers: 1, BusyPoll: time.Hour}).workers[0]
	var clients, servers []*idle
	reads, most, all := 0, 0, make(chan struct{})
	for range crowd {
		client, server := connect(t, w, eventloop.SocketOptions{})
		server.read = func() {
			most = max(most, w.events)
			if reads++; reads == crowd {
				close(all)
			}
		}
		clients, servers = append(clients, client), append(servers, server)
	}
	do(t, w, func() {
		for i, c := range clients {
			if n, err := c.t.Write([][]byte{{1}}); n != 1 || err != nil {
				t.Errorf("%d bytes written: %v", n, err)
			}
			fd := []unix.PollFd{{Fd: servers[i].t.(*transport).fd, Events: unix.POLLIN}}
			for n := 0; n < 1; n, _ = unix.Poll(fd, -1) { // the next round finds all
			}
		}
	})
	<-all
	looks := true
	do(t, w, func() {
		was := w.events
		w.events = crowd
		w.kick() // it would find that
		looks = w.look()
		w.events = was
	})
	require.GreaterOrEqual(t, most, crowd)
	require.False(t, looks)
}

// A worker that has always something to do lets all run that wait for its processor, the only one:
// what it has woken, and what waits in the queue of all Ps.
func TestBusyWorkerGivesWay(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	for _, aside := range []bool{true, false} {
		s := openStack(t, Config{Workers: 1})
		w := s.workers[0]
		var rounds atomic.Int64
		var stop atomic.Bool
		ended := make(chan struct{})
		var again func()
		again = func() {
			if rounds.Add(1); stop.Load() {
				close(ended)
				return
			}
			if aside {
				w.RunAside(func() {})
			}
			if w.Post(eventloop.TaskFunc(again)) != nil {
				t.Error("the worker has ended")
			}
		}
		require.NoError(t, w.Post(eventloop.TaskFunc(again)))
		for rounds.Load() < 10 {
			runtime.Gosched()
		}
		var waits []int64 // in rounds
		for range 101 {
			from := rounds.Load()
			runtime.Gosched()
			waits = append(waits, rounds.Load()-from)
		}
		stop.Store(true)
		<-ended
		// Go looks into the queue of all once in 61 times, and a worker yields after 8 rounds. It is the
		// median, as the system may take the processor away in the midst.
		slices.Sort(waits)
		require.LessOrEqual(t, waits[50], int64(2*61*roundsPerAccept), "aside: %v, %v", aside, waits)
	}
}

// TestLookingWorker: a worker that looks for more does everything that a sleeping one
// does: tasks, timers, loans, sockets, the end.
func TestLookingWorker(t *testing.T) {
	s := openStack(t, Config{Workers: 1, BusyPoll: time.Hour})
	w := s.workers[0]
	for range 100 {
		do(t, w, func() {})
	}
	ran := false
	lend(t, w, func() { ran = true })
	require.True(t, ran)
	fired := make(chan struct{})
	timer := &eventloop.Timer{}
	timer.Init(timerFunc(func() { close(fired) }))
	do(t, w, func() { w.SetTimer(timer, w.Now()+time.Millisecond) })
	<-fired
	client, server := connect(t, w, eventloop.SocketOptions{})
	do(t, w, func() { client.t.Close() })
	<-server.eof
	do(t, w, func() { server.t.Close() })
	require.NoError(t, s.Close())
}

// TestBusyPollCanBeOff: and is told of what looking brings where it is not.
func TestBusyPollCanBeOff(t *testing.T) {
	s := openStack(t, Config{Workers: 1, BusyPoll: -1})
	for range 100 {
		do(t, s.workers[0], func() {})
	}
	do(t, s.workers[0], func() {
		if s.workers[0].busy != (busyPoll{}) {
			t.Error("it looks")
		}
	})

	s = openStack(t, Config{Workers: 1, BusyPoll: time.Nanosecond})
	require.Eventually(t, func() (gaveUp bool) {
		do(t, s.workers[0], func() { gaveUp = s.workers[0].busy.leave > 0 })
		return gaveUp
	}, 10*time.Second, time.Millisecond)
}
