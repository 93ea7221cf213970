package workload

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
)

// newCounter returns what can count system calls on this machine, nil for nothing,
// and a note about it.
func newCounter() (counter, string) {
	c, perr := newPerfCounter()
	if perr == nil {
		return c, "System calls are counted with the kernel's tracepoint raw_syscalls:sys_enter, " +
			"for a contestant in a scenario once, over " + countFor.String() + " after a measurement, " +
			"so that counting slows no measurement down."
	}
	c, serr := newStraceCounter()
	if serr == nil {
		return c, fmt.Sprintf("System calls are counted with strace, for a contestant in a scenario once, "+
			"over %v after a measurement. It slows the processes down several times over, so that more messages "+
			"share a system call or fewer do than when they run free. "+
			"(The kernel's tracepoint cannot be used: %v.)", countFor, perr)
	}
	return nil, fmt.Sprintf("System calls could not be counted: %v; %v.", perr, serr)
}

// threadsOf lists the threads of a process.
func threadsOf(pid int) ([]int, error) {
	dirs, err := os.ReadDir(filepath.Join("/proc", strconv.Itoa(pid), "task"))
	if err != nil {
		return nil, err
	}
	out := make([]int, 0, len(dirs))
	for _, d := range dirs {
		if tid, err := strconv.Atoi(d.Name()); err == nil {
			out = append(out, tid)
		}
	}
	return out, nil
}

func newStraceCounter() (counter, error) {
	path, err := exec.LookPath("strace")
	if err != nil {
		return nil, fmt.Errorf("strace: %w", err)
	}
	c := func(pids []int) (func() (int64, error), error) { return strace(path, pids) }
	// It must be allowed too: try it with a process of our own.
	cat := exec.Command("cat")
	in, err := cat.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cat.Start(); err != nil {
		return nil, err
	}
	stop, err := c([]int{cat.Process.Pid})
	in.Close()
	_ = cat.Wait()
	if err == nil {
		_, err = stop()
	}
	if err != nil {
		return nil, fmt.Errorf("strace: %w", err)
	}
	return c, nil
}
