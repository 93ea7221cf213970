//go:build !unix && !js

package main

import "time"

var begin = time.Now()

// processorTime is the time that has passed, where it is not known what was used.
func processorTime() time.Duration { return time.Since(begin) }
