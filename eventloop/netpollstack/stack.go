//go:build linux && (amd64 || arm64 || loong64)

package netpollstack

import (
	"fmt"
	"net/netip"
	"sync"

	"github.com/asyncmsgr/asyncmsgr/eventloop"
)

// stack implements eventloop.Stack and eventloop.Hosted.
type stack struct {
	cfg       Config
	clock     eventloop.Clock
	workers   []*worker
	conns     eventloop.Placement // of connections
	listeners eventloop.Placement // of listening sockets
	closeOnce sync.Once
}

// Open starts the workers. It fails if descriptors or memory run out.
func Open(cfg Config) (eventloop.Stack, error) {
	s := &stack{cfg: cfg.withDefaults(), clock: eventloop.SystemClock()}
	for i := range s.cfg.Workers {
		w, err := newWorker(s, i)
		if err != nil {
			s.discard(0)
			return nil, fmt.Errorf("netpollstack: open worker %d: %w", i, err)
		}
		s.workers = append(s.workers, w)
	}
	if err := s.start(); err != nil {
		return nil, fmt.Errorf("netpollstack: start: %w", err)
	}
	return s, nil
}

// start has netpoll serve every worker and waits until each has run once: then
// netpoll has picked its poller, and its state may be touched again.
func (s *stack) start() error {
	pollers.mu.Lock()
	defer pollers.mu.Unlock()
	if err := raisePollers(len(s.workers), s.cfg.Pollers, s.cfg.Logger); err != nil {
		s.discard(0)
		return err
	}
	shared := 0
	for i := range s.workers {
		alone, err := s.place(i)
		if err != nil {
			s.left(s.workers[:i])
			s.discard(i)
			return err
		}
		if !alone {
			shared++
		}
	}
	if shared > 0 && pollers.set >= pollers.workers {
		const why = "workers share a poller of netpoll, and wait for each other: somebody else used netpoll meanwhile"
		s.cfg.Logger.Warn(why, "workers", shared, "pollers", pollers.set)
	}
	return nil
}

// placeTries is how often a worker is begun anew that has got a poller which is taken.
const placeTries = 3

// place has netpoll serve worker i, alone on its poller if possible; pollers.mu is held.
func (s *stack) place(i int) (alone bool, err error) {
	for range placeTries {
		if alone, err = pollers.ring.serve(s.workers[i]); err != nil || alone || pollers.ring.free() < 0 {
			return alone, err
		}
		// Somebody else had netpoll pick a poller in between.
		w, err := newWorker(s, i)
		if err != nil {
			return false, nil // it is served all the same
		}
		s.stop(s.workers[i : i+1])
		pollers.ring.leave(s.workers[i])
		s.workers[i] = w
	}
	return pollers.ring.serve(s.workers[i])
}

// left stops workers of this stack; pollers.mu is held.
func (s *stack) left(workers []*worker) {
	pollers.workers -= len(s.workers)
	s.stop(workers)
	for _, w := range workers {
		pollers.ring.leave(w)
	}
}

// discard releases the workers from number i on, which netpoll does not serve.
func (s *stack) discard(i int) {
	for _, w := range s.workers[i:] {
		w.closeDescriptors()
	}
}

// stop ends workers that netpoll serves and waits for them.
func (s *stack) stop(workers []*worker) {
	for _, w := range workers {
		// Cannot fail: the mailbox is closed by this task only.
		_ = w.Post(eventloop.TaskFunc(func() { w.stopping = true }))
	}
	for _, w := range workers {
		<-w.ended
		<-w.served
	}
}

func (s *stack) NumWorkers() int               { return len(s.workers) }
func (s *stack) Worker(i int) eventloop.Worker { return s.workers[i] }
func (s *stack) Clock() eventloop.Clock        { return s.clock }

func (s *stack) Pick() eventloop.Worker {
	return s.workers[s.conns.Pick(len(s.workers), s.load)]
}

func (s *stack) load(i int) int { return s.workers[i].Load() }

func (s *stack) Listen(
	addr netip.AddrPort, cfg eventloop.ListenConfig, accept func(eventloop.Socket),
) (eventloop.Listener, error) {
	w := s.workers[s.listeners.Pick(len(s.workers), func(i int) int { return int(s.workers[i].listening.Load()) })]
	return w.listen(addr, cfg, accept)
}

// Close may be called any number of times; all calls return when the stack is
// closed.
func (s *stack) Close() error {
	s.closeOnce.Do(func() {
		s.stop(s.workers)
		pollers.mu.Lock()
		defer pollers.mu.Unlock()
		pollers.workers -= len(s.workers)
		for _, w := range s.workers {
			pollers.ring.leave(w)
		}
	})
	return nil
}
