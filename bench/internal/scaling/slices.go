package scaling

import (
	"cmp"
	"slices"
	"time"
)

// Slice is what was done in a short time.
type Slice struct {
	Seconds float64 `json:"s"`
	CPU     float64 `json:"cpu"` // seconds that the process had of all processors
	Ops     float64 `json:"n"`
}

// Had is how many processors the process had.
func (s Slice) Had() float64 { return s.CPU / s.Seconds }

// Rate is operations a second.
func (s Slice) Rate() float64 { return s.Ops / s.Seconds }

// Slices tell, on a machine that others use too, what is done while they do not: most of
// their programs leave a processor alone for milliseconds at a time.
type Slices []Slice

const (
	// undisturbed is how much of its processors a slice must have had to count; much more
	// than all of them means that the meter was held up, or that a thread is new to it.
	undisturbed, tooMuch = 0.9, 1.1
	// slicesMin is how many such slices are enough; otherwise the tenth with most counts,
	// and what they had has to be looked at.
	slicesMin = 5
)

// Undisturbed returns those slices that had so many processors nearly all the time, and
// what these had on average. If there are too few, it is those that had most.
func (s Slices) Undisturbed(processors int) (out Slices, had float64) {
	all := float64(processors)
	s = slices.DeleteFunc(slices.Clone(s), func(x Slice) bool { return x.Had() > tooMuch*all })
	for _, x := range s {
		if x.Had() >= undisturbed*all {
			out = append(out, x)
		}
	}
	if len(out) < min(slicesMin, len(s)) {
		out = slices.SortedFunc(slices.Values(s), func(a, b Slice) int { return cmp.Compare(b.Had(), a.Had()) })
		out = out[:max(min(slicesMin, len(s)), len(s)/10)]
	}
	var cpu, sec float64
	for _, x := range out {
		cpu, sec = cpu+x.CPU, sec+x.Seconds
	}
	if sec == 0 {
		return nil, 0
	}
	return out, cpu / sec
}

// Rates are those of the slices.
func (s Slices) Rates() []float64 {
	out := make([]float64, len(s))
	for i, x := range s {
		out[i] = x.Rate()
	}
	return out
}

// Rate is the median of the slices, or, should more than half of them have nothing, what all
// come to together.
func (s Slices) Rate() float64 {
	if median, _, _ := Median(s.Rates()); median > 0 {
		return median
	}
	var ops, sec float64
	for _, x := range s {
		ops, sec = ops+x.Ops, sec+x.Seconds
	}
	return ops / max(sec, 1e-9)
}

// Enough says whether there are enough undisturbed slices for a figure.
func (s Slices) Enough(processors int) bool {
	out, had := s.Undisturbed(processors)
	return had >= undisturbed*float64(processors) && len(out) >= 4*slicesMin
}

// Used is the CPU time of all slices, in seconds.
func (s Slices) Used() (cpu float64) {
	for _, x := range s {
		cpu += x.CPU
	}
	return cpu
}

// Scaled are the rates that the slices would have had with all their processors, if what
// they did is bound by these. Slices without any are left out.
func (s Slices) Scaled(processors int) (out []float64) {
	for _, x := range s {
		if x.CPU > 0 {
			out = append(out, x.Ops/x.CPU*float64(processors))
		}
	}
	return out
}

// CPU is seconds of all processors for each operation, 0 for no operation.
func (s Slices) CPU() float64 {
	var ops float64
	for _, x := range s {
		ops += x.Ops
	}
	if ops == 0 {
		return 0
	}
	return s.Used() / ops
}

// Meter cuts what happens into slices.
type Meter struct {
	total func() int64 // operations so far
	cpu   cpuClock
	began time.Time
	used  time.Duration
	done  int64
}

// NewMeter returns a meter of what total counts; the first slice begins.
func NewMeter(total func() int64) *Meter {
	m := &Meter{total: total}
	m.began, m.used, m.done = m.look()
	return m
}

const (
	// lookMax is how long it may take to look at the clock, the CPU time and the count: who
	// is held up in between has numbers of different moments, and looks again.
	lookMax = 40 * time.Microsecond
	// looksMax is how often that is tried.
	looksMax = 50
)

func (m *Meter) look() (now time.Time, used time.Duration, done int64) {
	for range looksMax {
		now = time.Now()
		used, done = m.cpu.now(), m.total()
		if time.Since(now) <= lookMax {
			break
		}
	}
	return now, used, done
}

// Slice ends a slice and begins the next.
func (m *Meter) Slice() Slice {
	now, used, done := m.look()
	s := Slice{
		Seconds: max(now.Sub(m.began), 1).Seconds(), CPU: max(0, used-m.used).Seconds(), Ops: float64(done - m.done),
	}
	m.began, m.used, m.done = now, used, done
	return s
}
