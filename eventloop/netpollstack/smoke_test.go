//go:build linux

package netpollstack

import (
	"net/netip"
	"testing"

	"github.com/asyncmsgr/asyncmsgr/eventloop"
	"github.com/stretchr/testify/require"
)

type smoke struct {
	t    eventloop.Transport
	out  []byte
	got  []byte
	want int
	done chan error
}

func (s *smoke) HandleConnected(t eventloop.Transport) { s.t = t; s.out = []byte("hello"); t.WantFlush() }
func (s *smoke) ReadInto() []byte                      { return nil }
func (s *smoke) HandleRead(_ int, rest []byte) {
	s.got = append(s.got, rest...)
	if s.want == 0 {
		s.out = append(s.out, rest...)
		s.t.WantFlush()
	} else if len(s.got) >= s.want {
		s.t.Close()
		s.done <- nil
	}
}
func (s *smoke) HandleEOF() { s.t.Close() }
func (s *smoke) HandleFlush() {
	n, err := s.t.Write([][]byte{s.out})
	if err != nil {
		panic(err)
	}
	s.out = s.out[n:]
}
func (s *smoke) HandleClosed(err error) { s.done <- err }

func TestSmoke(t *testing.T) {
	st, err := Open(Config{Workers: 2})
	require.NoError(t, err)
	l, err := st.Listen(netip.MustParseAddrPort("127.0.0.1:0"), eventloop.ListenConfig{}, func(s eventloop.Socket) {
		w := st.Pick()
		w.Post(eventloop.TaskFunc(func() { h := &smoke{done: make(chan error, 1)}; h.t = w.Adopt(s, h) }))
	})
	require.NoError(t, err)
	c := &smoke{want: 5, done: make(chan error, 1)}
	w := st.Pick()
	w.Post(eventloop.TaskFunc(func() { w.Dial(l.Addr(), eventloop.DialConfig{}, c) }))
	require.NoError(t, <-c.done)
	require.Equal(t, "hello", string(c.got))
	require.NoError(t, st.Close())
	require.NoError(t, st.Close())
}
