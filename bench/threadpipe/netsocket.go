package threadpipe

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"time"
)

// netSocket is a socket of package net. Deadlines are moved on only when half of
// stallLimit has passed, so that a busy socket rarely pays for them.
type netSocket struct {
	c *net.TCPConn

	// The reader's.
	readUntil time.Time // the read deadline; zero: none

	// The writer's.
	writeUntil time.Time
	iov        [][]byte    // what is being written
	v          net.Buffers // the part of it that is not written yet
}

func (s *netSocket) close()                     { _ = s.c.Close() }
func (s *netSocket) remoteAddr() netip.AddrPort { return addrPort(s.c.RemoteAddr()) }
func (s *netSocket) localAddr() netip.AddrPort  { return addrPort(s.c.LocalAddr()) }

func (s *netSocket) read(b []byte, brief bool) (int, error) {
	if brief {
		if now := time.Now(); s.readUntil.Before(now.Add(stallLimit / 2)) {
			s.readUntil = now.Add(stallLimit)
			_ = s.c.SetReadDeadline(s.readUntil) // fails on a closed socket only
		}
	}
	n, err := s.c.Read(b)
	if err == nil || !errors.Is(err, os.ErrDeadlineExceeded) {
		return n, err
	}
	s.readUntil = time.Time{}
	if brief {
		return n, errStalled
	}
	_ = s.c.SetReadDeadline(time.Time{}) // one that a brief read has left
	return s.c.Read(b)
}

func (s *netSocket) writev(bufs [][]byte) (int, error) {
	if now := time.Now(); s.writeUntil.Before(now.Add(stallLimit / 2)) {
		s.armWrite(now)
	}
	if len(bufs) == 1 {
		n, err := s.c.Write(bufs[0])
		if err == nil {
			return n, nil
		}
		s.iov = append(s.iov[:0], bufs[0][n:])
		s.v = s.iov
		return n, s.written(err)
	}
	s.iov = append(s.iov[:0], bufs...)
	s.v = s.iov
	n, err := s.v.WriteTo(s.c)
	return int(n), s.written(err)
}

func (s *netSocket) writeRest() (int, error) {
	s.armWrite(time.Now())
	n, err := s.v.WriteTo(s.c)
	return int(n), s.written(err)
}

func (s *netSocket) armWrite(now time.Time) {
	s.writeUntil = now.Add(stallLimit)
	_ = s.c.SetWriteDeadline(s.writeUntil) // fails on a closed socket only
}

// written forgets the buffers unless some are left to be written.
func (s *netSocket) written(err error) error {
	if err != nil && errors.Is(err, os.ErrDeadlineExceeded) {
		return errStalled
	}
	s.v = nil
	clear(s.iov)
	return err
}
