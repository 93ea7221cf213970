package demo

import (
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// class is a kind of traffic in the report.
type class int

const (
	clientWrite class = iota
	clientRead
	replication
	heartbeat
	recovery
	poll
	numClasses
)

var classInfo = [numClasses]struct{ name, promise string }{
	clientWrite: {"client write", "every message once, in order"},
	clientRead:  {"client read", "every message once, in order"},
	replication: {"replication", "every message once, in order"},
	heartbeat:   {"heartbeat", "every message once, in order; overtakes"},
	recovery:    {"recovery", "every message once, in order; is overtaken"},
	poll:        {"status poll", "lossy: once at most, in order"},
}

// meter counts the round trips of one class; any goroutine.
type meter struct {
	mu    sync.Mutex
	ops   uint64
	bytes uint64
	hist  *hdrhistogram.Histogram // nanoseconds
}

const latencyMax = time.Minute

func newMeter() *meter { return &meter{hist: hdrhistogram.New(1, int64(latencyMax), 3)} }

func (m *meter) add(took time.Duration, bytes int) {
	m.mu.Lock()
	m.ops++
	m.bytes += uint64(bytes)
	_ = m.hist.RecordValue(min(max(int64(took), 1), int64(latencyMax))) // in range
	m.mu.Unlock()
}

func (m *meter) total() (ops, bytes uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.ops, m.bytes
}

// row returns the meter as a row of the report.
func (m *meter) row(c class, over time.Duration) Row {
	m.mu.Lock()
	defer m.mu.Unlock()
	q := func(p float64) float64 { return float64(m.hist.ValueAtQuantile(p)) / 1e6 }
	s := over.Seconds()
	return Row{
		Class: classInfo[c].name, Promise: classInfo[c].promise, Ops: m.ops,
		OpsPerSecond: float64(m.ops) / s, MBPerSecond: float64(m.bytes) / 1e6 / s,
		P50ms: q(50), P99ms: q(99), MaxMs: float64(m.hist.Max()) / 1e6,
	}
}
