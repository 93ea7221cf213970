//go:build linux && (amd64 || arm64 || loong64)

package rivals

import (
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/bench/compare/workload"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// libraries are the contestants from outside, which these tests run in this process.
func libraries() []workload.Contestant {
	return []workload.Contestant{GRPC(), DRPC(false), DRPC(true), NetRPC(), NATS()}
}

// inProcess starts both ends of c with n connections, and stops them and checks what
// they leave behind when the test ends.
func inProcess(
	t *testing.T, c workload.Contestant, n int, answered func(conn, slot int),
) (workload.Server, workload.Client) {
	t.Helper()
	before := goleak.IgnoreCurrent()
	s, err := c.Serve(workload.Options{})
	require.NoError(t, err)
	client, err := c.Dial(s.Addr(), workload.Options{})
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, client.Stop())
		require.NoError(t, s.Stop())
		goleak.VerifyNone(t, before)
	})
	require.NoError(t, client.Connect(n, answered))
	return s, client
}

// TestWindow: far more may be in flight than fits the sockets and grpc's windows, and
// whoever gets an answer sends the next request.
func TestWindow(t *testing.T) {
	const window, rounds = 48, 3
	payload := make([]byte, 1<<20)
	if testing.Short() {
		payload = payload[:100_000]
	}
	for _, c := range libraries() {
		t.Run(c.Name, func(t *testing.T) {
			var (
				client workload.Client
				begun  = make(chan struct{})
				done   = make(chan error, window+1)
				counts [window]atomic.Int32
			)
			_, client = inProcess(t, c, 1, func(_, slot int) {
				<-begun
				if counts[slot].Add(1) == rounds {
					done <- nil
				} else if err := client.Send(0, slot, payload); err != nil {
					done <- err
				}
			})
			close(begun)
			for slot := range window {
				require.NoError(t, client.Send(0, slot, payload))
			}
			for range window {
				select {
				case err := <-done:
					require.NoError(t, err)
				case <-time.After(patience):
					t.Fatalf("%v: no more answers", &counts)
				}
			}
		})
	}
}

// TestCut: when its sockets are cut a connection either works again by itself, after
// what was lost, or Send says that it is dead.
func TestCut(t *testing.T) {
	reconnects := map[string]bool{"grpc": true, "nats": true}
	const n = 3
	for _, c := range libraries() {
		t.Run(c.Name, func(t *testing.T) {
			answers := make(chan int, 1000)
			s, client := inProcess(t, c, n, func(_, slot int) { answers <- slot })
			for conn := range n {
				require.NoError(t, client.Send(conn, conn, []byte("before")))
			}
			for range n {
				<-answers
			}
			require.Equal(t, n, cut(t, s.Addr()))
			for conn := range n {
				again, err := outcome(client, conn, answers)
				if reconnects[c.Name] {
					require.True(t, again, "%v", err)
				} else {
					require.Error(t, err)
				}
			}
		})
	}
}

// outcome sends until there is an answer or Send fails. What was sent before the end
// of the connection was noticed is lost.
func outcome(client workload.Client, conn int, answers chan int) (again bool, err error) {
	slot := 100 * (conn + 1)
	for end := time.Now().Add(patience / 2); time.Now().Before(end); slot++ {
		if err := client.Send(conn, slot, []byte("after")); err != nil {
			return false, err
		}
		select {
		case <-answers:
			return true, nil
		case <-time.After(50 * time.Millisecond):
		}
	}
	return false, nil
}

// cut shuts down all sockets of this process that lead to addr, and returns how many.
func cut(t *testing.T, addr string) (count int) {
	t.Helper()
	host, port, err := net.SplitHostPort(strings.TrimPrefix(addr, "nats://"))
	require.NoError(t, err)
	to := netip.MustParseAddr(host)
	n, err := strconv.Atoi(port)
	require.NoError(t, err)
	for fd := range 1000 {
		if a, err := unix.Getpeername(fd); err == nil {
			if a, ok := a.(*unix.SockaddrInet4); ok && a.Port == n && netip.AddrFrom4(a.Addr) == to {
				require.NoError(t, unix.Shutdown(fd, unix.SHUT_RDWR))
				count++
			}
		}
	}
	return count
}
