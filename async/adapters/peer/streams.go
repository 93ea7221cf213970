package peer

import (
	"context"
	"net"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/stream"
)

// Dial opens a stream to the service of that name at addr (see Connect), of that priority,
// 0 being the messenger's default. It ends with ctx, and when an attempt to connect fails;
// so does the stream, but not with ctx.
func (p *Peers) Dial(ctx context.Context, addr, service string, priority uint8) (net.Conn, error) {
	mux, err := p.mux()
	if err != nil {
		return nil, err
	}
	c, reach, done, err := p.Connect(ctx, addr)
	if err != nil {
		return nil, err
	}
	defer done()
	s, err := mux.Dial(reach, c, service, stream.WithPriority(priority))
	if err != nil {
		return nil, Why(reach, err)
	}
	return p.tie(s), nil
}

// DialTimeout is Dial with a bound of time, at the default priority.
func (p *Peers) DialTimeout(addr, service string, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return p.Dial(ctx, addr, service, 0)
}

// Listen returns a listener for a service. What it accepts ends as what Dial returns does.
// Its address is Addr's.
func (p *Peers) Listen(service string) (net.Listener, error) {
	mux, err := p.mux()
	if err != nil {
		return nil, err
	}
	ln, err := mux.Listen(service)
	if err != nil {
		return nil, err
	}
	return listener{ln, p}, nil
}

type listener struct {
	net.Listener
	p *Peers
}

// Accept implements net.Listener.
func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return l.p.tie(c.(*stream.Conn)), nil
}

// Addr implements net.Listener: a *net.TCPAddr.
func (l listener) Addr() net.Addr { return l.p.Addr() }

// tied is a stream that is closed when an attempt to connect fails.
type tied struct {
	*stream.Conn
	stop func() bool
	done context.CancelFunc
}

// codeUnreachable is what a stream is closed with whose peer could not be reached.
const codeUnreachable = 1

func (p *Peers) tie(s *stream.Conn) *tied {
	reach, done := p.Watch(context.Background(), s.Connection())
	stop := context.AfterFunc(reach, func() {
		_ = s.CloseWithError(codeUnreachable, context.Cause(reach).Error())
	})
	return &tied{s, stop, done}
}

// Close implements net.Conn.
func (t *tied) Close() error {
	t.stop()
	t.done()
	return t.Conn.Close()
}
