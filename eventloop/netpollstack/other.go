//go:build !(linux && (amd64 || arm64 || loong64))

package netpollstack

import (
	"fmt"
	"runtime"

	"github.com/asyncmsgr/asyncmsgr/eventloop"
)

// Open returns an error that wraps eventloop.ErrNotSupported: this stack needs Linux
// on a processor whose epoll netpoll knows.
func Open(Config) (eventloop.Stack, error) {
	return nil, fmt.Errorf("netpollstack: no network for %s/%s: %w; "+
		"give Config.Stack one of your own, or a host of eventloop/simnet",
		runtime.GOOS, runtime.GOARCH, eventloop.ErrNotSupported)
}
