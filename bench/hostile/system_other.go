//go:build !linux

package hostile

import "errors"

func (u *use) ofSystem() error { return errors.New("what a process uses is measured on Linux only") }

func raiseFiles() {}
