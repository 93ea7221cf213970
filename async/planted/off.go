//go:build !planted

package planted

// On says whether a bug is switched on: never in this build.
func On(Bug) bool { return false }
