package callback

import (
	"fmt"
	"iter"
	"reflect"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// depths is how many frames are put above a mark: more than the walk reads at a time, so
// that the mark is the first frame of a part of the stack, the last one, and all between.
const depths = 2 * (64 + 4*64)

// insideAtDepths asks above so many frames, and returns how often each answer came.
func insideAtDepths() (sides map[Side]int) {
	sides = map[Side]int{}
	var down func(n int)
	down = func(n int) {
		sides[inlined()]++
		if n > 0 {
			down(n - 1)
		}
	}
	down(depths - 1)
	return sides
}

func inlined() Side { return Inside() }

func TestInside(t *testing.T) {
	for _, x := range []struct {
		what string
		call func(f func())
		want Side
		pool bool
	}{
		{"nothing", func(f func()) { f() }, Outside, false},
		{"pool", OnPool, Pool, true},
		{"worker", OnWorker, Worker, false},
		{"worker in pool", func(f func()) { OnPool(func() { OnWorker(f) }) }, Pool, true},
		{"pool in worker", func(f func()) { OnWorker(func() { OnPool(f) }) }, Worker, true},
		{"pool in pool in worker", func(f func()) { OnWorker(func() { OnPool(func() { OnPool(f) }) }) }, Worker, true},
		{"a goroutine of a callback", func(f func()) {
			OnPool(func() { OnWorker(func() { onAnother(f) }) })
		}, Outside, false},
		{"a goroutine that is a callback", func(f func()) {
			done := make(chan struct{})
			go OnWorker(func() { defer close(done); f() })
			<-done
		}, Worker, false},
		{"a coroutine of a callback", func(f func()) {
			OnWorker(func() {
				for range pulled(f) {
				}
			})
		}, Outside, false},
		{"after a panic", func(f func()) {
			func() {
				defer func() { _ = recover() }()
				OnPool(func() { OnWorker(func() { panic("planned") }) })
			}()
			f()
		}, Outside, false},
		{"after a panic within a callback", func(f func()) {
			OnWorker(func() {
				func() {
					defer func() { _ = recover() }()
					OnPool(func() { panic("planned") })
				}()
				f()
			})
		}, Worker, false},
		{"after runtime.Goexit elsewhere", func(f func()) {
			onAnother(func() { OnPool(runtime.Goexit) })
			f()
		}, Outside, false},
		{"on the way out of runtime.Goexit", func(f func()) {
			onAnother(func() { OnWorker(func() { defer f(); runtime.Goexit() }) })
		}, Worker, false},
	} {
		var got map[Side]int
		var pool bool
		x.call(func() { got, pool = insideAtDepths(), InsidePool() })
		require.Equal(t, map[Side]int{x.want: depths}, got, x.what)
		require.Equal(t, x.pool, pool, x.what)
		require.Equal(t, Outside, Inside(), x.what)
		require.False(t, InsidePool(), x.what)
	}
	require.Equal(t, "outside, on pool, on worker", fmt.Sprintf("%v, %v, %v", Outside, Pool, Worker))
}

// onAnother runs f on another goroutine, and returns when that has ended.
func onAnother(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	<-done
}

// pulled yields once, after f has run in a coroutine.
func pulled(f func()) iter.Seq[int] {
	return func(yield func(int) bool) {
		next, stop := iter.Pull(func(yield func(int) bool) { f(); yield(0) })
		defer stop()
		v, _ := next()
		yield(v)
	}
}

// Callbacks of all kinds, some with the names of the marks.
type caller struct{ f func() }

func (c caller) OnWorker()            { c.f() }
func (c *caller) pointer()            { c.f() }
func generic[T any](_ T, f func())    { f() }
func small(f func())                  { f() } // inlined
func deferring(f func())              { defer f() }
func variadic(fs ...func())           { fs[0]() }
func OnPoolToo(f func())              { f() }
func onWorkerClosure(f func()) func() { return func() { f() } }

// TestAnyCallback: it is not by its name that a callback is known, nor by what it is.
func TestAnyCallback(t *testing.T) {
	for _, mark := range []struct {
		call func(f func())
		want Side
	}{
		{func(f func()) { f() }, Outside},
		{OnPool, Pool},
		{OnWorker, Worker},
		{func(f func()) { defer OnWorker(f) }, Worker},
		{func(f func()) { reflect.ValueOf(OnPool).Call([]reflect.Value{reflect.ValueOf(f)}) }, Pool},
	} {
		got := Side(99)
		ask := func() { got = Inside() }
		c := caller{ask}
		for i, callback := range []func(){
			ask, c.OnWorker, c.pointer, caller{c.OnWorker}.OnWorker,
			func() { generic(1, ask) }, func() { generic("", ask) }, func() { small(ask) }, func() { deferring(ask) },
			func() { variadic(ask, nil) }, func() { OnPoolToo(ask) }, onWorkerClosure(ask),
			func() { reflect.ValueOf(ask).Call(nil) },
			func() { func() { defer func() { recover(); ask() }(); panic("planned") }() },
		} {
			got = 99
			mark.call(callback)
			require.Equal(t, mark.want, got, "%v %d", mark.want, i)
		}
	}
}

// TestMarksAreTwoFunctions: they have frames of their own, whatever the compiler does.
func TestMarksAreTwoFunctions(t *testing.T) {
	require.NotZero(t, poolEntry)
	require.NotZero(t, workerEntry)
	require.NotEqual(t, poolEntry, workerEntry)
	for _, entry := range []uintptr{poolEntry, workerEntry} {
		require.Equal(t, entry, runtime.FuncForPC(entry).Entry())
	}
}

// TestMarksAreFree: the callbacks of every message are called by them.
func TestMarksAreFree(t *testing.T) {
	n := 0
	for _, mark := range []func(){
		func() { a := n; OnPool(func() { n += a }) },
		func() { a := n; OnWorker(func() { n += a }) },
	} {
		require.Zero(t, testing.AllocsPerRun(100, mark))
	}
}

func BenchmarkOnWorker(b *testing.B) {
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		OnWorker(func() { n++ })
	}
}

func BenchmarkInside(b *testing.B) {
	for _, depth := range []int{4, 40, 400} {
		b.Run(fmt.Sprintf("frames=%d", depth), func(b *testing.B) {
			var down func(n int)
			down = func(n int) {
				if n > 0 {
					down(n - 1)
					return
				}
				for b.Loop() {
					Inside()
				}
			}
			b.ReportAllocs()
			OnWorker(func() { down(depth) })
		})
	}
}
