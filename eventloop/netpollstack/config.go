package netpollstack

import (
	"log/slog"
	"runtime"
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
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}
