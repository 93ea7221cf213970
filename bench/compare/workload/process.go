package workload

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// patience is how long a process of a contestant may take for one thing beyond the
// measurement, unless Config says otherwise, and lastWords how long it may take to
// say where it hangs.
const (
	patience  = 60 * time.Second
	lastWords = 3 * time.Second
)

// process is a contestant's server or client.
type process struct {
	who   string
	cmd   *exec.Cmd
	in    io.WriteCloser
	out   *bufio.Reader
	said  tail // what it said on its standard error
	limit time.Duration
	hung  atomic.Bool
}

// errHung is the error of a process that was killed because it took too long.
type errHung struct {
	who, doing string
	limit      time.Duration
	dump       string
}

func (e *errHung) Error() string {
	return fmt.Sprintf("%s: hung: no answer to %q within %v; its goroutines: %s", e.who, e.doing, e.limit, e.dump)
}

// launch starts this binary again and returns its first answer. ctx ending kills it.
func launch(ctx context.Context, exe string, c *Contestant, o order) (*process, answer, error) {
	text, err := json.Marshal(o)
	if err != nil {
		return nil, answer{}, err
	}
	p := &process{who: "client", limit: cmp.Or(o.patience, patience) + 2*o.duration()}
	if o.Server == "" {
		p.who = "server"
	}
	p.cmd = exec.CommandContext(ctx, exe)
	p.cmd.Env = append(append(os.Environ(), c.Env...), childEnv+"="+string(text))
	p.cmd.Stderr = &p.said
	p.cmd.WaitDelay = lastWords
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, answer{}, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, answer{}, err
	}
	p.out = bufio.NewReader(out)
	if err := p.cmd.Start(); err != nil {
		return nil, answer{}, err
	}
	a, err := p.begin()
	if err != nil {
		p.in.Close()
		werr := p.cmd.Wait()
		return nil, a, p.explain(err, werr)
	}
	return p, a, nil
}

// begin waits until the process runs, for which a loaded machine may need longer than
// a contestant may take for anything, and returns its first answer after that.
func (p *process) begin() (answer, error) {
	limit := p.limit
	p.limit = max(limit, patience)
	a, err := p.read("run")
	if err != nil {
		return a, err
	}
	p.limit = limit
	return p.read("start")
}

// read returns the next answer; doing is what the process was asked for.
func (p *process) read(doing string) (a answer, err error) {
	defer p.guard()()
	line, err := p.out.ReadBytes('\n')
	switch {
	case p.hung.Load():
		return a, &errHung{who: p.who, doing: doing, limit: p.limit}
	case err != nil:
		return a, fmt.Errorf("%s: it ended: %w", p.who, err)
	}
	if err := json.Unmarshal(line, &a); err != nil {
		return a, fmt.Errorf("%s: it said %q: %w", p.who, line, err)
	}
	if a.Error != "" {
		return a, fmt.Errorf("%s: %s", p.who, a.Error)
	}
	return a, nil
}

// guard has the process say where it hangs and end, unless the function it returned
// is called within the limit.
func (p *process) guard() (done func()) {
	t := time.AfterFunc(p.limit, func() {
		p.hung.Store(true)
		_ = p.cmd.Process.Signal(syscall.SIGQUIT)
		time.AfterFunc(lastWords, func() { _ = p.cmd.Process.Kill() })
	})
	return func() { t.Stop() }
}

func (p *process) ask(what string) (answer, error) {
	if _, err := fmt.Fprintln(p.in, what); err != nil {
		return answer{}, fmt.Errorf("%s: %w", p.who, err)
	}
	return p.read(what)
}

// end closes the input, on which the process ends. It returns err, or how the
// process ended if err is nil.
func (p *process) end(err error) error {
	p.in.Close()
	done := p.guard()
	rest, _ := io.ReadAll(p.out)
	werr := p.cmd.Wait()
	done()
	var a answer
	switch {
	case err != nil:
	case p.hung.Load():
		err = &errHung{who: p.who, doing: "end", limit: p.limit}
	case werr == nil:
		return nil
	case json.Unmarshal(rest, &a) == nil && a.Error != "":
		return fmt.Errorf("%s: at its end: %s", p.who, a.Error)
	default:
		err = fmt.Errorf("%s: at its end: %w", p.who, werr)
	}
	return p.explain(err, werr)
}

// explain adds to the first error of a process that has ended what it said last.
func (p *process) explain(err, ended error) error {
	if h := new(errHung); errors.As(err, &h) {
		if p.hung.Load() {
			h.dump = goroutineSummary(p.said.String())
		}
		return err
	}
	var exit *exec.ExitError
	if said := firstLine(p.said.String()); said != "" && errors.As(ended, &exit) {
		return fmt.Errorf("%w (%w: %s)", err, ended, said)
	}
	return err
}

// tail keeps the first and the last bytes written to it.
type tail struct {
	mu         sync.Mutex
	head, rest []byte
}

const tailMax = 1 << 20

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := len(b)
	if k := min(n, tailMax-len(t.head)); k > 0 {
		t.head = append(t.head, b[:k]...)
		b = b[k:]
	}
	t.rest = append(t.rest, b...)
	if over := len(t.rest) - tailMax; over > 0 {
		t.rest = append(t.rest[:0], t.rest[over:]...)
	}
	return n, nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.head) + string(t.rest)
}
