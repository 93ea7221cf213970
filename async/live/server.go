package live

import (
	"net"
	"net/http"
	"sync"
	"time"
)

// headMax is how long a client of a Server may take to say what it wants.
const headMax = 10 * time.Second

// Server is a Handler with a server of its own, for who has none.
type Server struct {
	*Handler
	server *http.Server
	once   sync.Once
	ended  sync.WaitGroup
}

// Serve serves the page on l, on a goroutine of its own, until Close. It closes l, also if it fails.
func Serve(l net.Listener, cfg Config) (*Server, error) {
	h, err := New(cfg)
	if err != nil {
		_ = l.Close() // it was never of use
		return nil, err
	}
	s := &Server{Handler: h, server: &http.Server{Handler: h, ReadHeaderTimeout: headMax}}
	s.ended.Go(func() { _ = s.server.Serve(l) }) // the error says that it is closed
	return s, nil
}

// Close ends the page, its connections and l, and waits until nobody looks any more. A second Close
// does nothing.
func (s *Server) Close() {
	s.once.Do(func() {
		s.Handler.Close()
		_ = s.server.Close() // what is to be told of a listener that is closed
		s.ended.Wait()
	})
}
