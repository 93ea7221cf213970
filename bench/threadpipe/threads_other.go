//go:build !linux

package threadpipe

import "errors"

// newThreadNetwork is for Config.Threads.
func newThreadNetwork() (network, error) {
	return nil, errors.New("threadpipe: OS threads on blocking sockets are for Linux only")
}
