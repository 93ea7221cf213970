package sessiontest

import "testing"

// Run runs the suite between a server and a client of these kinds. With -short, as
// under the race detector, the long tests are shorter.
func Run(t *testing.T, server, client Kind) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			c.run(&rig{t: t, server: server, client: client, changed: make(chan struct{}, 1)})
		})
	}
}

// cases is the table of behaviours.
var cases = []struct {
	name string
	run  func(r *rig)
}{
	// exchange.go
	{"echo", testEcho},
	{"peer info", testPeerInfo},
	{"transport addresses", testTransportAddrs},
	{"fast dispatch", testFastDispatch},
	{"lent", testLent},
	{"loopback", testLoopback},
	{"anonymous", testAnonymous},
	{"rebind", testRebind},
	{"connect errors", testConnectErrors},
	// places.go
	{"place", testPlace},
	{"follow", testFollow},
	{"follow the caller", testFollowCaller},
	// contract.go
	{"attempts", testAttempts},
	{"flush", testFlush},
	{"cancel", testCancel},
	{"deadline", testDeadline},
	{"in use", testInUse},
	{"pressure", testPressure},
	{"send total", testSendTotal},
	{"standby max", testStandbyMax},
	{"goexit", testGoexit},
	{"goexit when a session is lost", testGoexitInReset},
	{"loopback notify", testLoopbackNotify},
	{"on worker", testOnWorker},
	// cuts.go
	{"lossless, cut in every part", testLosslessCuts},
	{"lossless peers, cut at random", testPeerCuts},
	{"lossy, cut", testLossyCuts},
	{"byte by byte", testByteByByte},
	{"large payloads, cut inside", testLargeCuts},
	// faults.go
	{"faults", testFaults},
	{"many faults", testManyFaults},
	// races.go
	{"connection race", testConnectionRace},
	{"reconnect race", testReconnectRace},
	{"many connect at once", testManyConnect},
	// resets.go
	{"stateful", testStateful},
	{"stateless", testStateless},
	{"registered", testRegistered},
	{"fast resets", testFastResets},
	{"standby", testStandby},
	{"adopted", testAdopted},
	{"forgotten", testForgotten},
	{"restart with the same address", testRestart},
	{"restart of a peer that calls", testRestartCalls},
	{"restart with a new nonce", testNewNonce},
	{"features", testFeatures},
	{"refused", testRefused},
	{"somebody else", testSomebodyElse},
	// closing.go
	{"mark down drops", testMarkDownDrops},
	{"mark down of what is queued", testMarkDownQueued},
	{"mark down in callbacks", testMarkDownInside},
	{"disposable", testDisposable},
	{"shutdown reports", testShutdownReports},
	{"shutdown under load", testShutdownUnderLoad},
	{"panic", testPanic},
	// timeouts.go
	{"keepalive", testKeepalive},
	{"keepalive timeout", testKeepaliveTimeout},
	{"keepalive timeout of a blocked writer", testBlockedWriter},
	{"keepalive timeout inside a payload", testBlockedReader},
	{"idle timeout", testIdleTimeout},
	// bounds.go
	{"priorities", testPriorities},
	{"policy throttles", testPolicyThrottles},
	{"dispatch throttle", testDispatchThrottle},
	{"connection throttles", testConnThrottles},
	{"hold", testHold},
	{"throttled when it ends", testThrottledEnd},
	{"send queue", testSendQueue},
	{"too large", testTooLarge},
	// badpeers.go
	{"garbage", testGarbage},
	{"length bombs", testLengthBombs},
	{"slow handshakes", testSlowHandshakes},
	{"handshakes max", testHandshakesMax},
	{"silent server", testSilentServer},
	// authentication.go
	{"slow authentication", testSlowAuthentication},
	{"end during a step", testEndDuringStep},
	{"not authorized", testNotAuthorized},
}
