package stream

import "testing"

var scenes []struct {
	name string
	run  func(t *testing.T)
}
