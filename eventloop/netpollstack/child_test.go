//go:build linux && (amd64 || arm64 || loong64)

package netpollstack

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/asyncmsgr/asyncmsgr/eventloop"
	"github.com/cloudwego/netpoll"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func init() {
	children["panic"] = childPanic
	children["lent panic"] = childLentPanic
	children["emfile"] = childEMFILE
	children["fork"] = childFork
	children["forked"] = childForked
}

func child(t *testing.T, name string) *exec.Cmd {
	exe, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), exe)
	cmd.Env = append(os.Environ(), childEnv+"="+name)
	return cmd
}

func childPanic() {
	s, err := Open(Config{Workers: 1})
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = s.Worker(0).Post(eventloop.TaskFunc(func() { panic("broken invariant") }))
	select {}
}

func childLentPanic() {
	s, err := Open(Config{Workers: 1})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { fmt.Println("recovered:", recover()) }()
	for !s.Worker(0).(eventloop.Lender).Lend(eventloop.TaskFunc(func() { panic("broken invariant") })) {
		runtime.Gosched()
	}
}

// A panic on a worker ends the process with a stack trace: netpoll has no
// recover on that path, and one of a borrower's is of no use.
func TestPanicIsLoud(t *testing.T) {
	for name, where := range map[string]string{
		"panic": "netpollstack.childPanic", "lent panic": "netpollstack.childLentPanic",
	} {
		out, err := child(t, name).CombinedOutput()
		require.Error(t, err, "the process survived: %s", out)
		require.Contains(t, string(out), "panic: broken invariant")
		require.Contains(t, string(out), where)
		require.NotContains(t, string(out), "recovered")
	}
}

// childFork has all kinds of descriptors open and starts a child. It prints which of
// them it wants that child to inherit, and then what the child finds.
func childFork() {
	check := func(err error) {
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
	}
	// Of others: an epoll set with an eventfd in it, as netpoll has.
	foreign := func() {
		set, err := unix.EpollCreate1(0)
		check(err)
		fd, err := unix.Eventfd(0, 0)
		check(err)
		check(unix.EpollCtl(set, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}))
		fmt.Println(set, "anon_inode:[eventpoll]")
		fmt.Println(fd, "anon_inode:[eventfd]")
	}
	logs := &countingLog{}
	childForked() // what it has inherited itself
	foreign()
	netpoll.Initialize() // somebody else uses it already
	s, err := Open(Config{Workers: 2, Pollers: 5, Logger: slog.New(logs)})
	check(err)
	foreign()
	another, err := Open(Config{Workers: 5, Logger: slog.New(logs)})
	check(err)
	l, err := s.Listen(loopback, eventloop.ListenConfig{}, func(sock eventloop.Socket) {
		s.Worker(0).Adopt(sock, newIdle())
	})
	check(err)
	h := newIdle()
	check(s.Worker(1).Post(eventloop.TaskFunc(func() { s.Worker(1).Dial(l.Addr(), eventloop.DialConfig{}, h) })))
	<-h.connected
	if logs.n.Load() > 0 {
		fmt.Println("log records:", logs.n.Load())
	}
	fmt.Println()
	exe, err := os.Executable()
	check(err)
	cmd := exec.Command(exe)
	cmd.Env, cmd.Stdout, cmd.Stderr = append(os.Environ(), childEnv+"=forked"), os.Stdout, os.Stderr
	check(cmd.Run())
	check(s.Close())
	check(another.Close())
}

// childForked prints the descriptors that it was started with. Package os would open
// some of its own.
func childForked() {
	name := make([]byte, 256)
	for fd := 3; fd < 1000; fd++ {
		if n, err := unix.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd), name); err == nil {
			if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil && flags&unix.FD_CLOEXEC == 0 {
				fmt.Println(fd, string(name[:n]))
			}
		}
	}
}

// Children inherit no descriptor of a stack, nor of netpoll, and all others that they
// should.
func TestChildrenInheritNothing(t *testing.T) {
	out, err := child(t, "fork").CombinedOutput()
	require.NoError(t, err, "%s", out)
	want, got, ok := bytes.Cut(out, []byte("\n\n"))
	require.True(t, ok, "%s", out)
	require.Contains(t, string(want), "eventpoll")
	require.ElementsMatch(t, strings.Fields(string(want)), strings.Fields(string(got)))
}

// countingLog counts log records.
type countingLog struct {
	slog.Handler
	n atomic.Int64
}

func (l *countingLog) Handle(context.Context, slog.Record) error { l.n.Add(1); return nil }
func (l *countingLog) Enabled(context.Context, slog.Level) bool  { return true }
func (l *countingLog) WithAttrs([]slog.Attr) slog.Handler        { return l }
func (l *countingLog) WithGroup(string) slog.Handler             { return l }
func fewFiles(n uint64) error {
	return unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: n, Max: n})
}

// greeter says hello and waits for the end.
type greeter struct{ echoServer }

func (g *greeter) HandleFlush() { _, _ = g.t.Write([][]byte{[]byte("hi")}) }

// childEMFILE serves with few descriptors. For each accept failure it prints
// the rounds and microseconds so far, and ends when its standard input does.
func childEMFILE() {
	if err := fewFiles(48); err != nil {
		fmt.Println(err)
		return
	}
	logs := &countingLog{}
	s, err := Open(Config{Workers: 1, Logger: slog.New(logs)})
	if err != nil {
		fmt.Println(err)
		return
	}
	w := s.Worker(0).(*worker)
	reports := int64(0)
	cfg := eventloop.ListenConfig{OnError: func(err error) {
		if reports++; logs.n.Load() != reports {
			fmt.Println("log records:", logs.n.Load())
		}
		fmt.Println(w.did.rounds, w.now.Microseconds(), err)
	}}
	l, err := s.Listen(loopback, cfg, func(sock eventloop.Socket) {
		g := &greeter{}
		g.t = w.Adopt(sock, g)
		g.t.WantFlush()
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(l.Addr())
	_, _ = io.Copy(io.Discard, os.Stdin)
	if err := s.Close(); err != nil {
		fmt.Println(err)
	}
}

// While the process is out of descriptors, a listener neither spins nor floods
// the log, and goes on as soon as there are some.
func TestAcceptOutOfDescriptors(t *testing.T) {
	cmd := child(t, "emfile")
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	lines := bufio.NewScanner(stdout)
	require.True(t, lines.Scan())
	addr := lines.Text()

	const conns = 120
	var all [conns]net.Conn
	for i := range all {
		all[i], err = net.Dial("tcp", addr)
		require.NoError(t, err, addr)
	}
	// Five failures in a row take 5+10+20+40 ms; each costs a few rounds.
	var first, last uint64
	var now, before int64
	for i := range 5 {
		require.True(t, lines.Scan())
		line := lines.Text()
		require.True(t, strings.HasSuffix(line, syscall.EMFILE.Error()), line)
		before = now
		_, err := fmt.Sscan(line, &last, &now)
		require.NoError(t, err)
		if i == 0 {
			first = last
		} else {
			require.GreaterOrEqual(t, now-before, backoffMin.Microseconds()<<(i-1), "pause %d", i)
		}
	}
	require.Less(t, last-first, uint64(60), "rounds while starved")
	go func() { // further reports must not block the child
		for lines.Scan() {
		}
	}()
	// Closing what was accepted lets in the rest.
	for _, c := range all {
		hi := make([]byte, 2)
		_, err := io.ReadFull(c, hi)
		require.NoError(t, err)
		require.NoError(t, c.Close())
	}
	require.NoError(t, stdin.Close())
	require.NoError(t, cmd.Wait())
}
