//go:build linux && (amd64 || arm64 || loong64)

package netpollstack

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cloudwego/netpoll"
	"golang.org/x/sys/unix"
)

// netpoll opens an epoll set and an eventfd for each poller, without FD_CLOEXEC: child
// processes would inherit them. It does not tell which they are, and the process may
// have others of that kind that are meant to be inherited. So a probe goes to each
// poller, as a listener: the epoll set that has the probe's descriptor in it, as the
// system tells in /proc/self/fdinfo, is netpoll's, and the eventfd in that is too.
// netpoll gives its pollers listeners in turn, so that it takes as many probes as there
// are pollers, and one more to see that the turn is over: the order of the pollers is then
// known too, which is what workers are placed by (see ring).
//
// A child that is started by another goroutine while Open runs may still inherit them.

// errOrder: netpoll does not give its pollers listeners in turn.
var errOrder = errors.New(
	"netpoll's pollers do not take turns: somebody else uses netpoll, or has set its load balance")

// survey marks the descriptors of n pollers, all there are, that are not among those
// marked, and returns all that are now. order has the epoll sets of the pollers in the
// order of their turns, beginning with the one that had the last; it is nil with an error.
func survey(n int, marked []int) (order, all []int, err error) {
	sets, err := inheritable("anon_inode:[eventpoll]")
	if err != nil {
		return nil, marked, err
	}
	sets = append(sets, marked...)
	slices.Sort(sets) // pollers that were opened after each other have their turns after each other
	for range 4*n + 1 {
		set, err := sendProbe(sets)
		if err != nil {
			return nil, marked, err
		}
		if set < 0 {
			return nil, marked, errOrder
		}
		if !slices.Contains(marked, set) {
			if err := markWithEventfd(set); err != nil {
				return nil, marked, err
			}
			marked = append(marked, set)
		}
		i := slices.Index(sets, set)
		sets = slices.Concat(sets[i+1:], sets[:i+1]) // the next one first
		switch i := slices.Index(order, set); {
		case i == 0 && len(order) == n:
			return order, marked, nil
		case i >= 0:
			order = append(slices.Clone(order[i+1:]), set) // somebody else had a turn between
		default:
			order = append(order, set)
		}
	}
	return nil, marked, errOrder
}

// probeFiles is how many descriptors survey has open at a time: the probe, and
// what it reads in /proc.
const probeFiles = 2

// probe implements netpoll.Listener. It is never readable: its poller need not run, and
// may be held up by a callback of a worker meanwhile.
type probe struct{ fd int }

// sendProbe gives a probe to the next poller and returns which of the epoll sets is
// that poller's, -1 if none.
func sendProbe(sets []int) (set int, err error) {
	var p probe
	if p.fd, err = unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC); err != nil {
		return -1, os.NewSyscallError("eventfd", err)
	}
	defer unix.Close(p.fd)
	loop, err := netpoll.NewEventLoop(nil)
	if err != nil {
		return -1, err
	}
	served := make(chan error, 1)
	go func() { served <- loop.Serve(p) }()
	for began := time.Now(); time.Since(began) < probeTime; runtime.Gosched() {
		if set, err = setOf(p.fd, sets); set >= 0 {
			break
		}
		select {
		case err := <-served: // it is in no set, and will not be
			return -1, err
		default:
		}
	}
	if e := loop.Shutdown(context.Background()); e != nil {
		return -1, e
	}
	<-served
	if set >= 0 {
		return set, nil
	}
	return -1, err
}

// probeTime is how long netpoll may take to put a probe into a poller's set, which it does
// before it does anything else.
const probeTime = time.Second

func (p probe) Accept() (net.Conn, error) { return nil, nil }
func (p probe) Fd() int                   { return p.fd }
func (p probe) Close() error              { return nil }
func (p probe) Addr() net.Addr            { return &net.UnixAddr{Name: "netpollstack probe", Net: "unix"} }

// markWithEventfd marks an epoll set of netpoll and the eventfd in it. If there are
// several, somebody has given netpoll one: none is marked then.
func markWithEventfd(set int) error {
	in, err := targets(set)
	if err != nil {
		return err
	}
	eventfds, err := inheritable("anon_inode:[eventfd]")
	if err != nil {
		return err
	}
	in = slices.DeleteFunc(in, func(fd int) bool { return !slices.Contains(eventfds, fd) })
	if len(in) != 1 {
		in = nil
	}
	for _, fd := range append(in, set) {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, unix.FD_CLOEXEC); err != nil {
			return os.NewSyscallError("fcntl", err)
		}
	}
	return nil
}

// inheritable returns the descriptors of a kind that child processes would inherit.
func inheritable(kind string) (fds []int, err error) {
	const dir = "/proc/self/fd"
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		// One that is closed meanwhile is of no interest.
		if link, err := os.Readlink(dir + "/" + f.Name()); err != nil || link != kind {
			continue
		}
		fd, err := strconv.Atoi(f.Name())
		if err != nil {
			return nil, fmt.Errorf("%s/%s: %w", dir, f.Name(), err)
		}
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil && flags&unix.FD_CLOEXEC == 0 {
			fds = append(fds, fd)
		}
	}
	return fds, nil
}

// setOf is which of the epoll sets has fd in it, -1 if none. An error is that of reading
// what is in one of the others.
func setOf(fd int, sets []int) (set int, err error) {
	for _, set := range sets {
		in, e := targets(set)
		if e != nil {
			err = e
		} else if slices.Contains(in, fd) {
			return set, nil
		}
	}
	return -1, err
}

// targets returns the descriptors in an epoll set.
func targets(set int) (fds []int, err error) {
	info, err := os.ReadFile("/proc/self/fdinfo/" + strconv.Itoa(set))
	if err != nil {
		return nil, err
	}
	for lines := bufio.NewScanner(bytes.NewReader(info)); lines.Scan(); {
		f := strings.Fields(lines.Text())
		if len(f) < 2 || f[0] != "tfd:" {
			continue
		}
		fd, err := strconv.Atoi(f[1])
		if err != nil {
			return nil, fmt.Errorf("epoll set %d: %q: %w", set, lines.Text(), err)
		}
		fds = append(fds, fd)
	}
	return fds, nil
}
