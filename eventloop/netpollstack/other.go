//go:build !linux

package netpollstack

import "github.com/asyncmsgr/asyncmsgr/eventloop"

// Open returns eventloop.ErrNotSupported: this stack needs Linux.
func Open(Config) (eventloop.Stack, error) { return nil, eventloop.ErrNotSupported }
