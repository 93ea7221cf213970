package threadpipe

import "errors"

// newThreadNetwork is for Config.Threads, which is yet to come.
func newThreadNetwork() (network, error) {
	return nil, errors.New("threadpipe: OS threads are not supported yet")
}
