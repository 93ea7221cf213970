package dispatch

import (
	"container/heap"
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// BenchmarkPrio is the structure alone: push and pop with 64 messages queued, of
// one and of 16 connections.
func BenchmarkPrio(b *testing.B) {
	for _, conns := range []int{1, 16} {
		b.Run(fmt.Sprintf("conns=%d", conns), func(b *testing.B) {
			p := newPrio(DefaultMinCost, DefaultMaxTokens)
			m := &msg.Message{Priority: 127}
			items := make([]Item, conns)
			for i := range items {
				items[i] = Item{Class: uint64(i + 1), Priority: 127, Msg: m}
			}
			for i := range 64 {
				p.push(&items[i%conns])
			}
			var it Item
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				c := p.pop(&it)
				p.done(c)
				p.push(&items[i])
				if i++; i == conns {
					i = 0
				}
			}
		})
	}
}

// BenchmarkHeap is the same with container/heap by priority and arrival, which
// knows neither turns nor busy connections.
func BenchmarkHeap(b *testing.B) {
	var h itemHeap
	m := &msg.Message{Priority: 127}
	seq := uint64(0)
	push := func() {
		seq++
		heap.Push(&h, heapItem{Item{Class: 1, Priority: 127, Msg: m}, seq})
	}
	for range 64 {
		push()
	}
	b.ReportAllocs()
	for b.Loop() {
		heap.Pop(&h)
		push()
	}
}

type heapItem struct {
	Item
	seq uint64
}
type itemHeap []heapItem

func (h itemHeap) Len() int { return len(h) }
func (h itemHeap) Less(i, j int) bool {
	if h[i].Priority != h[j].Priority {
		return h[i].Priority > h[j].Priority
	}
	return h[i].seq < h[j].seq
}
func (h itemHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *itemHeap) Push(x any)   { *h = append(*h, x.(heapItem)) }
func (h *itemHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}

// BenchmarkQueue is the whole way of a message, enqueued in batches by one
// goroutine, to an empty dispatcher on the pool. At most 4096 are under way.
func BenchmarkQueue(b *testing.B) {
	for _, width := range []int{1, 2} {
		for _, batch := range []int{1, 16, 64} {
			b.Run(fmt.Sprintf("width=%d/batch=%d", width, batch), func(b *testing.B) {
				pool, err := NewAntsPool(AntsConfig{Size: 4})
				if err != nil {
					b.Fatal(err)
				}
				chain := NewChain(ChainConfig{})
				chain.AddTail(dispatcherFunc(func(*msg.Message) bool { return true }))
				q := New(Config{Executor: pool, Handler: chain, Width: width})
				conns := newConns(16)
				items := make([]Item, batch)
				for i := range items {
					items[i] = MessageItem(newMessage(conns[i%16], 127, 0, nil, 0))
				}
				b.ReportAllocs()
				n := 0
				for b.Loop() {
					n++
					if n%batch != 0 { // an iteration is a message
						continue
					}
					_ = q.EnqueueBatch(items)
					if n%1024 == 0 {
						for q.Len() > 4096 {
							runtime.Gosched()
						}
					}
				}
				waitIdle(q)
				b.StopTimer()
				b.ReportMetric(float64(q.Stats().Dispatched), "dispatched")
				_ = q.Stop(context.Background())
				_ = pool.Release(context.Background())
			})
		}
	}
}

// BenchmarkQueueInline is the same without a pool: the cost of the code alone.
func BenchmarkQueueInline(b *testing.B) {
	chain := NewChain(ChainConfig{})
	chain.AddTail(dispatcherFunc(func(*msg.Message) bool { return true }))
	e := new(Inline)
	q := New(Config{Executor: e, Handler: chain})
	conns := newConns(16)
	items := make([]Item, 64)
	for i := range items {
		items[i] = MessageItem(newMessage(conns[i%16], 127, 0, nil, 0))
	}
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		if n++; n%64 == 0 {
			_ = q.EnqueueBatch(items)
			e.Run()
		}
	}
}

// BenchmarkSubmitPerMessage is what the queue avoids: a pool job for each message.
func BenchmarkSubmitPerMessage(b *testing.B) {
	pool, err := NewAntsPool(AntsConfig{Size: 4})
	if err != nil {
		b.Fatal(err)
	}
	var wg sync.WaitGroup
	for b.Loop() {
		wg.Add(1)
		for pool.Submit(wg.Done) != nil {
			runtime.Gosched()
		}
	}
	wg.Wait()
	b.StopTimer()
	_ = pool.Release(context.Background())
}

func BenchmarkThrottle(b *testing.B) {
	t := NewThrottle(100)
	b.ReportAllocs()
	for b.Loop() {
		t.Acquire(10, nil)
		t.Release(10)
	}
}

func BenchmarkFast(b *testing.B) {
	c := NewChain(ChainConfig{})
	c.AddTail(fastOnly{func() {}})
	m := newMessage(newConns(1)[0], 127, 0, nil, 0)
	b.ReportAllocs()
	for b.Loop() {
		c.Fast(m)
	}
}
