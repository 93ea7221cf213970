package rivals

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"sync"

	"github.com/asyncmsgr/asyncmsgr/bench/compare/workload"
)

// rawFan is the server of RawNet in the FanOut kind: a goroutine and a channel of frames for
// each connection that writes, and one that reads.
type rawFan struct {
	*endpoint
	mu  sync.Mutex
	out map[net.Conn]chan []byte
}

// rawFanQueued is how many frames may wait for one connection: a slow one is closed.
const rawFanQueued = 64

func serveRawFan(workload.Options) (workload.Server, error) {
	f := &rawFan{out: map[net.Conn]chan []byte{}}
	var err error
	f.endpoint, err = listen(f.serve)
	return f, err
}

func (f *rawFan) serve(c net.Conn) {
	out := make(chan []byte, rawFanQueued)
	f.mu.Lock()
	f.out[c] = out
	f.mu.Unlock()
	var writer sync.WaitGroup
	writer.Go(func() {
		for frame := range out {
			if _, err := c.Write(frame); err != nil {
				return // the reader ends too
			}
		}
	})
	_ = f.read(c) // the peer closes
	c.Close()
	f.mu.Lock()
	delete(f.out, c)
	close(out)
	f.mu.Unlock()
	writer.Wait()
}

func (f *rawFan) read(c net.Conn) error {
	in := bufio.NewReader(c)
	for {
		head, err := in.Peek(rawHeaderLen)
		if err != nil {
			return err
		}
		frame := make([]byte, rawHeaderLen+binary.LittleEndian.Uint32(head))
		if _, err := io.ReadFull(in, frame); err != nil {
			return err
		}
		f.mu.Lock()
		for c, out := range f.out {
			select {
			case out <- frame:
			default:
				c.Close()
			}
		}
		f.mu.Unlock()
	}
}
