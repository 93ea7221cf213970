package scaling

import (
	"fmt"
	"os"
	"strings"
)

// Busy is how many seconds the machine's processors have done something since it was
// started, for whomever, other machines on the same processors included; -1 if that is not
// known.
func Busy() float64 {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return -1
	}
	line, _, _ := strings.Cut(string(text), "\n")
	var user, nice, system, idle, wait, irq, softirq, steal float64
	if n, _ := fmt.Sscanf(line, "cpu %f %f %f %f %f %f %f %f",
		&user, &nice, &system, &idle, &wait, &irq, &softirq, &steal); n < 8 {
		return -1
	}
	const ticks = 100 // a second, on all of Go's systems with this file
	return (user + nice + system + irq + softirq + steal) / ticks
}
