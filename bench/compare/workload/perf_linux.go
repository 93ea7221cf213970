package workload

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// newPerfCounter counts with a tracepoint of the kernel in every thread.
func newPerfCounter() (counter, error) {
	id, err := tracepointID("raw_syscalls/sys_enter")
	if err != nil {
		return nil, err
	}
	fd, err := openTracepoint(id, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.Close(fd); err != nil {
		return nil, os.NewSyscallError("close", err)
	}
	return func(pids []int) (func() (int64, error), error) { return perf(id, pids) }, nil
}

// perf counts the threads that there are now: those that are made while it counts
// are not counted.
func perf(id uint64, pids []int) (stop func() (int64, error), err error) {
	var fds []int
	stop = func() (n int64, err error) {
		for _, fd := range fds {
			var b [8]byte
			if _, rerr := unix.Read(fd, b[:]); rerr != nil {
				err = errors.Join(err, os.NewSyscallError("read", rerr))
			}
			n += int64(binary.NativeEndian.Uint64(b[:]))
			err = errors.Join(err, os.NewSyscallError("close", unix.Close(fd)))
		}
		return n, err
	}
	for _, pid := range pids {
		tids, err := threadsOf(pid)
		if err != nil {
			_, _ = stop()
			return nil, err
		}
		for _, tid := range tids {
			fd, err := openTracepoint(id, tid)
			if errors.Is(err, unix.ESRCH) {
				continue // the thread has ended
			}
			if err != nil {
				_, _ = stop()
				return nil, err
			}
			fds = append(fds, fd)
		}
	}
	return stop, nil
}

func openTracepoint(id uint64, tid int) (int, error) {
	a := unix.PerfEventAttr{Type: unix.PERF_TYPE_TRACEPOINT, Config: id}
	a.Size = uint32(unsafe.Sizeof(a))
	fd, err := unix.PerfEventOpen(&a, tid, -1, -1, unix.PERF_FLAG_FD_CLOEXEC)
	return fd, os.NewSyscallError("perf_event_open", err)
}

// tracepointID reads a tracepoint's number from tracefs. Where that is not mounted
// and may be, it is, for one thread that ends with it: nobody else sees the mount.
func tracepointID(event string) (uint64, error) {
	var errs []error
	for _, dir := range []string{"/sys/kernel/tracing", "/sys/kernel/debug/tracing"} {
		id, err := readTracepointID(dir, event)
		if err == nil {
			return id, nil
		}
		errs = append(errs, err)
	}
	if os.Geteuid() != 0 {
		return 0, errs[0]
	}
	type result struct {
		id  uint64
		err error
	}
	ch := make(chan result)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		id, err := mountAndRead(event)
		ch <- result{id, err}
	}()
	r := <-ch
	return r.id, r.err
}

func mountAndRead(event string) (uint64, error) {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return 0, os.NewSyscallError("unshare", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return 0, os.NewSyscallError("mount", err)
	}
	const dir = "/sys/kernel/tracing"
	if err := unix.Mount("tracefs", dir, "tracefs", unix.MS_RDONLY, ""); err != nil {
		return 0, fmt.Errorf("tracefs: %w", os.NewSyscallError("mount", err))
	}
	return readTracepointID(dir, event)
}

func readTracepointID(dir, event string) (uint64, error) {
	text, err := os.ReadFile(dir + "/events/" + event + "/id")
	if err != nil {
		return 0, err
	}
	return strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
}
