package netpollstack

import (
	"log/slog"
	"runtime"
	"time"
)

// Config holds the options of Open; the zero value works.
type Config struct {
	// Workers is the number of event loops; 0 means GOMAXPROCS, at most 1024.
	Workers int
	// ReadBuffer is the size of a worker's scratch buffer in bytes; 0 means
	// 256 KiB. Smaller ones cost system calls, larger ones cache misses.
	ReadBuffer int
	// ReadBudget is how many bytes one connection may receive in one round
	// before its neighbours get their turn; 0 means 1 MiB. It is at least
	// ReadBuffer.
	ReadBudget int
	// BusyPoll is how long a worker that has nothing left to do looks for more
	// before it sleeps in epoll_wait; 0 means 60 us, less than 0 not at all. Being
	// woken takes as long as that, so where answers come at once, looking saves
	// their latency and costs about as much CPU. A worker that looks in vain stops to do
	// so but for one time in 64. With one CPU, or GOMAXPROCS 1, 0 means not at all. A worker that
	// does not look does not keep its P while it sleeps either: see docs/decisions/0015.
	BusyPoll time.Duration
	// Pollers is the least number of netpoll pollers; 0 means as many as
	// workers of all open stacks. netpoll does not tell how many it has: a
	// program that raised netpoll's number by itself gives that number here, or
	// Open would lower it.
	Pollers int
	// Logger is told of accept failures and of failures of the worker itself;
	// nil is silent.
	Logger *slog.Logger
}

const (
	maxWorkers        = 1024
	defaultReadBuffer = 256 << 10
	defaultReadBudget = 1 << 20
	defaultBusyPoll   = 60 * time.Microsecond
	minReadBuffer     = 4 << 10
)

func (c Config) withDefaults() Config {
	if c.Workers <= 0 {
		c.Workers = runtime.GOMAXPROCS(0)
	}
	c.Workers = min(c.Workers, maxWorkers)
	if c.ReadBuffer <= 0 {
		c.ReadBuffer = defaultReadBuffer
	}
	c.ReadBuffer = max(c.ReadBuffer, minReadBuffer)
	if c.ReadBudget <= 0 {
		c.ReadBudget = defaultReadBudget
	}
	c.ReadBudget = max(c.ReadBudget, c.ReadBuffer)
	if c.BusyPoll == 0 && min(runtime.NumCPU(), runtime.GOMAXPROCS(0)) > 1 {
		c.BusyPoll = defaultBusyPoll
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}
