package rivals

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
)

// maxMessage bounds a message of the rivals that want a bound: the largest payload of
// a scenario and room for what goes with it.
const maxMessage = 8 << 20

// dialers is how many connections are opened at a time.
const dialers = 32

// dialAll calls dial for 0 to n-1, several at a time, and returns the errors. After
// the first it calls no more.
func dialAll(n int, dial func(i int) error) error {
	var (
		wg   sync.WaitGroup
		next atomic.Int64
		mu   sync.Mutex
		errs []error
	)
	for range min(n, dialers) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				if err := dial(i); err != nil {
					next.Store(int64(n))
					mu.Lock()
					errs = append(errs, err)
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// endpoint accepts connections and gives each a goroutine.
type endpoint struct {
	l      net.Listener
	serve  func(net.Conn) // closes it
	mu     sync.Mutex
	conns  map[net.Conn]struct{}
	closed bool
	wg     sync.WaitGroup
}

func listen(serve func(net.Conn)) (*endpoint, error) {
	l, err := net.Listen("tcp", loopback.String())
	if err != nil {
		return nil, err
	}
	e := &endpoint{l: l, serve: serve, conns: map[net.Conn]struct{}{}}
	e.wg.Go(e.accept)
	return e, nil
}

func (e *endpoint) Addr() string { return e.l.Addr().String() }

func (e *endpoint) accept() {
	for {
		c, err := e.l.Accept()
		if err != nil {
			return
		}
		e.mu.Lock()
		if e.closed {
			e.mu.Unlock()
			c.Close()
			return
		}
		e.conns[c] = struct{}{}
		e.wg.Go(func() {
			e.serve(c)
			e.mu.Lock()
			delete(e.conns, c)
			e.mu.Unlock()
		})
		e.mu.Unlock()
	}
}

// Stop closes all connections and waits for their goroutines.
func (e *endpoint) Stop() error {
	err := e.l.Close()
	e.mu.Lock()
	e.closed = true
	for c := range e.conns {
		c.Close()
	}
	e.mu.Unlock()
	e.wg.Wait()
	return err
}
