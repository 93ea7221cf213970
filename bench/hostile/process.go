package hostile

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
)

// roleEnv tells this binary, started again, which of the processes it is.
const roleEnv = "ASYNCMSGR_HOSTILE"

// RunChild makes this process the server or the attackers, if it was started for that, and
// does not return then. Every program that calls Run calls it first.
func RunChild() {
	var err error
	switch role := os.Getenv(roleEnv); role {
	case "":
		return
	case "server":
		err = raised(runServer)
	case "attackers":
		err = raised(runAttackers)
	default:
		err = fmt.Errorf("no role %q", role)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "hostile:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// raised runs f with as many descriptors as this process may have.
func raised(f func(io.Reader, io.Writer) error) error {
	raiseFiles()
	return f(os.Stdin, os.Stdout)
}

// process is a child, which answers each line with one of type A.
type process[A any] struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *json.Decoder
}

// start starts a child in a role and returns its first answer.
func start[A any](ctx context.Context, role string, order any) (*process[A], A, error) {
	var none A
	exe, err := os.Executable()
	if err != nil {
		return nil, none, err
	}
	p := &process[A]{cmd: exec.CommandContext(ctx, exe)}
	p.cmd.Env = append(os.Environ(), roleEnv+"="+role)
	p.cmd.Stderr = os.Stderr
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, none, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, none, err
	}
	p.out = json.NewDecoder(out)
	if err := p.cmd.Start(); err != nil {
		return nil, none, err
	}
	a, err := p.ask(order)
	if err != nil {
		_ = p.end()
		return nil, none, fmt.Errorf("%s: %w", role, err)
	}
	return p, a, nil
}

func (p *process[A]) ask(what any) (a A, err error) {
	if err := json.NewEncoder(p.in).Encode(what); err != nil {
		return a, err
	}
	return a, p.out.Decode(&a)
}

// end closes the child's input, on which it ends.
func (p *process[A]) end() error {
	p.in.Close()
	return p.cmd.Wait()
}
