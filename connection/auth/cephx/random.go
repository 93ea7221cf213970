package cephx

import (
	"fmt"
	"io"
	"sync"
)

// randomness has one goroutine at a time read random bytes. Any goroutine may use it.
type randomness struct {
	mu sync.Mutex
	r  io.Reader
}

// Read implements io.Reader.
func (s *randomness) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return io.ReadFull(s.r, p)
}

// bytes are n random bytes.
func (s *randomness) bytes(n int) ([]byte, error) {
	b := make([]byte, n)
	if _, err := io.ReadFull(s, b); err != nil {
		return nil, fmt.Errorf("cephx: no random bytes: %w", err)
	}
	return b, nil
}

// number is a random number.
func (s *randomness) number() (uint64, error) {
	b, err := s.bytes(8)
	if err != nil {
		return 0, err
	}
	return le.Uint64(b), nil
}

// seal seals with them.
func (s *randomness) seal(k Key, u Usage, plain []byte) ([]byte, error) {
	return k.Seal(nil, u, plain, s)
}
