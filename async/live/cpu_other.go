//go:build !unix

package live

import "time"

// cpuTime is the processor time of this process so far; negative: the system does not tell.
func cpuTime() time.Duration { return -1 }
