package bubble

import "time"

// SetPatience changes how long goroutines have to end after a failure.
func SetPatience(d time.Duration) { patience = d }
