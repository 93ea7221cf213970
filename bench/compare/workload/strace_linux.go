package workload

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// strace counts with the program of that name, which attaches to the processes.
func strace(path string, pids []int) (stop func() (int64, error), err error) {
	args := []string{"-c", "-f", "-U", "calls"}
	threads := 0
	for _, pid := range pids {
		args = append(args, "-p", strconv.Itoa(pid))
		tids, err := threadsOf(pid)
		if err != nil {
			return nil, err
		}
		threads += len(tids)
	}
	if threads > straceThreads {
		return nil, fmt.Errorf("strace would need too long for %d threads", threads)
	}
	cmd := exec.Command(path, args...)
	said, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	in := bufio.NewReader(said)
	for attached := 0; attached < len(pids); {
		line, err := in.ReadString('\n')
		switch {
		case strings.Contains(line, " attached"):
			attached++
		case err != nil || strings.Contains(line, "attach:") || strings.Contains(line, "ptrace("):
			_ = cmd.Process.Kill()
			return nil, errors.Join(errors.New(strings.TrimSpace(line)), err, cmd.Wait())
		}
	}
	return func() (int64, error) {
		serr := cmd.Process.Signal(syscall.SIGINT)
		var out bytes.Buffer
		_, rerr := out.ReadFrom(in)
		_ = cmd.Wait() // it ends by the signal
		if err := errors.Join(serr, rerr); err != nil {
			return 0, err
		}
		return straceTotal(out.String())
	}, nil
}

// straceThreads bounds the threads that strace attaches to.
const straceThreads = 200

// straceTotal adds up a table of strace -c -U calls: lines of one number, below a
// heading and a rule, above another rule and the sum.
func straceTotal(table string) (n int64, err error) {
	for line := range strings.Lines(table) {
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		if v, err := strconv.ParseInt(f[0], 10, 64); err == nil {
			n = v // the last is the sum
		}
	}
	if n == 0 {
		return 0, fmt.Errorf("no sum in %q", table)
	}
	return n, nil
}
