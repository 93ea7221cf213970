package stacktest

import (
	"net/netip"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/eventloop"
)

// Harness is what an implementation gives the suite, fresh for each subtest.
// Its factory registers the Close of the stacks with t.Cleanup; Close is called
// more than once.
type Harness struct {
	// Client dials, Server listens; they may be the same stack.
	Client, Server eventloop.Stack
	// Addr is where Server listens, with port 0 or a port free for each call.
	Addr func() netip.AddrPort
	// Until returns when cond holds. A real stack waits for Notify, a simulated
	// one steps. It fails the test, with what, if that takes far too long.
	// cond may be called by the test's goroutine only.
	Until func(what string, cond func() bool)
	// Notify says that something cond looks at may have changed; workers call it.
	Notify func()
	// Bytes is the size of a large transfer; 0 means 16 MiB.
	Bytes int

	// What follows may be left zero; the subtests that need it are skipped.

	// Local is a second address of the client's host to dial from.
	Local netip.Addr
	// Addr6 is like Addr for IPv6.
	Addr6 func() netip.AddrPort
	// Homes are addresses under which the client reaches the server's host: two of IPv4
	// at least, and one of IPv6 if it has that.
	Homes []netip.Addr
	// Unreachable answers a dial with ENETUNREACH or EHOSTUNREACH.
	Unreachable netip.AddrPort
	// Blackhole returns an address that never answers a dial.
	Blackhole func() netip.AddrPort
	// Rest lets the workers that have nothing to do come to rest; nil: they do so by
	// themselves, soon.
	Rest func()
	// OneGoroutine is why only the test's goroutine may ask for workers to be lent;
	// empty: any may.
	OneGoroutine string
	// NoGoexit is why a worker's callbacks must not end their goroutine; empty: they may.
	NoGoexit string
}

// waitMax is how long RealTime waits; never reached unless a test fails.
const waitMax = 30 * time.Second

// RealTime returns Until and Notify for stacks that run by themselves.
func RealTime(t testing.TB) (until func(what string, cond func() bool), notify func()) {
	changed := make(chan struct{}, 1)
	until = func(what string, cond func() bool) {
		t.Helper()
		deadline := time.NewTimer(waitMax)
		defer deadline.Stop()
		for !cond() {
			select {
			case <-changed:
			case <-deadline.C:
				t.Fatalf("waited %v for: %s", waitMax, what)
			}
		}
	}
	notify = func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	return until, notify
}

// Run runs the suite; factory is called once for each subtest.
func Run(t *testing.T, factory func(t testing.TB) Harness) {
	for _, test := range []struct {
		name string
		f    func(*env)
	}{
		{"Echo", testEcho},
		{"Echo6", testEcho6},
		{"Addresses", testAddresses},
		{"LargeTransfer", testLargeTransfer},
		{"ReadInto", testReadInto},
		{"HalfCloseByClient", testHalfCloseByClient},
		{"HalfCloseByServer", testHalfCloseByServer},
		{"ResetByClient", testResetByClient},
		{"ResetByServer", testResetByServer},
		{"ResetAfterEOF", testResetAfterEOF},
		{"CloseSendsWhatWasWritten", testCloseSendsWhatWasWritten},
		{"SlowPeerDelaysNobody", testSlowPeerDelaysNobody},
		{"FastPeerDelaysNobody", testFastPeerDelaysNobody},
		{"DetachMidStream", testDetachMidStream},
		{"DetachWhileConnecting", testDetachWhileConnecting},
		{"SocketClose", testSocketClose},
		{"Load", testLoad},

		{"PauseResume", testPauseResume},
		{"PauseHoldsEOF", testPauseHoldsEOF},
		{"PauseReportsReset", testPauseReportsReset},
		{"PauseInHandleRead", testPauseInHandleRead},
		{"PauseBeforeConnected", testPauseBeforeConnected},

		{"FlushWhenRoomAgain", testFlushWhenRoomAgain},
		{"FlushCoalesces", testFlushCoalesces},
		{"FlushDeferredWhileFull", testFlushDeferredWhileFull},
		{"FlushWhilePaused", testFlushWhilePaused},
		{"FlushBeforeConnected", testFlushBeforeConnected},
		{"FlushAgainInHandleFlush", testFlushAgainInHandleFlush},
		{"WriteErrorIsFinal", testWriteErrorIsFinal},
		{"WriteManySlices", testWriteManySlices},

		{"CloseInEveryCallback", testCloseInEveryCallback},
		{"CloseStorm", testCloseStorm},
		{"DeadTransport", testDeadTransport},

		{"TimerOrder", testTimerOrder},
		{"TimerStop", testTimerStop},
		{"TimerRearmInCallback", testTimerRearmInCallback},
		{"TimerPast", testTimerPast},
		{"TimerEarlierThanArmed", testTimerEarlierThanArmed},
		{"NowStandsStill", testNowStandsStill},

		{"PostOrder", testPostOrder},
		{"PostFromTask", testPostFromTask},
		{"PostDoesNotStarveSockets", testPostDoesNotStarveSockets},

		{"DialRefused", testDialRefused},
		{"DialUnreachable", testDialUnreachable},
		{"DialInvalid", testDialInvalid},
		{"DialTimeout", testDialTimeout},
		{"DialThenClose", testDialThenClose},
		{"DialLocal", testDialLocal},
		{"DialItself", testDialItself},
		{"DialMapped", testDialMapped},
		{"ListenTwice", testListenTwice},
		{"ListenUnspecified", testListenUnspecified},
		{"ListenUnspecified6", testListenUnspecified6},
		{"ListenMapped", testListenMapped},
		{"HostAddrs", testHostAddrs},
		{"ZoneID", testZoneID},
		{"ListenerClose", testListenerClose},

		{"GoexitInCallbacks", testGoexitInCallbacks},
		{"GoexitInTimer", testGoexitInTimer},
		{"GoexitInTask", testGoexitInTask},
		{"GoexitInAccept", testGoexitInAccept},
		{"GoexitInAbandoned", testGoexitInAbandoned},
		{"GoexitWhileClosing", testGoexitWhileClosing},
		{"GoexitStorm", testGoexitStorm},

		{"Lend", testLend},
		{"LendLeaves", testLendLeaves},
		{"LendExclusive", testLendExclusive},
		{"Aside", testAside},
		{"AsideStays", testAsideStays},
		{"AsideStaysInTheMidst", testAsideStaysInTheMidst},
		{"AsideGoexit", testAsideGoexit},
		{"AsideCloses", testAsideCloses},
		{"AsideStorm", testAsideStorm},
		{"LoadOrStore", testLoadOrStore},

		{"StackPick", testStackPick},
		{"StackClose", testStackClose},
		{"StackCloseUnderLoad", testStackCloseUnderLoad},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := &env{Harness: factory(t), t: t}
			test.f(e)
			e.jobs.Wait()
		})
	}
}
