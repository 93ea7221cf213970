package simnet

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"strings"
	"time"
)

// Latency draws the one-way delay of a packet.
type Latency func(r *rand.Rand) time.Duration

// Fixed is always d.
func Fixed(d time.Duration) Latency { return func(*rand.Rand) time.Duration { return d } }

// Uniform is between lo and hi.
func Uniform(lo, hi time.Duration) Latency {
	return func(r *rand.Rand) time.Duration {
		if hi <= lo {
			return lo
		}
		return lo + time.Duration(r.Int64N(int64(hi-lo)))
	}
}

// Exponential is lo and an exponential part with that mean: many short delays, few long ones.
func Exponential(lo, mean time.Duration) Latency {
	return func(r *rand.Rand) time.Duration { return lo + time.Duration(r.ExpFloat64()*float64(mean)) }
}

// LogNormal has that median; sigma is the standard deviation of its logarithm:
// 0.5 is a good network, 1.5 one with a long tail. It ends at a thousand medians.
func LogNormal(median time.Duration, sigma float64) Latency {
	return func(r *rand.Rand) time.Duration {
		return time.Duration(float64(median) * min(math.Exp(r.NormFloat64()*sigma), 1000))
	}
}

// maxSamples bounds what ReadSamples takes.
const maxSamples = 1 << 22

// ReadSamples reads a trace of latencies, for LinkConfig.Samples: one a line, as
// time.ParseDuration has them ("1.5ms"); empty lines and those that begin with #
// are skipped. An error names the line.
func ReadSamples(r io.Reader) ([]time.Duration, error) {
	var all []time.Duration
	lines := bufio.NewScanner(r)
	for no := 1; lines.Scan(); no++ {
		text := strings.TrimSpace(lines.Text())
		if text == "" || text[0] == '#' {
			continue
		}
		d, err := time.ParseDuration(text)
		switch {
		case err != nil:
			return nil, fmt.Errorf("simnet: latencies, line %d: %w", no, err)
		case d < 0:
			return nil, fmt.Errorf("simnet: latencies, line %d: %v is negative", no, d)
		case len(all) == maxSamples:
			return nil, fmt.Errorf("simnet: latencies, line %d: more than %d", no, maxSamples)
		}
		all = append(all, d)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("simnet: latencies: %w", err)
	}
	return all, nil
}
