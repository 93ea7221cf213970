package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestMain is the command itself when the test starts it as a node.
func TestMain(m *testing.M) {
	if os.Getenv("ETCDRAFT_EXAMPLE_NODE") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// process is a node in a process of its own.
type process struct {
	cmd *exec.Cmd
	in  io.WriteCloser

	mu        sync.Mutex
	applied   map[string]bool
	state     string // the last answer to "log"
	leader    string
	snapshots int
}

func start(t *testing.T, id int, peers, dir string) *process {
	p := &process{applied: map[string]bool{}}
	p.cmd = exec.Command(os.Args[0], "-id", fmt.Sprint(id), "-peers", peers, "-dir", dir)
	p.cmd.Env = append(os.Environ(), "ETCDRAFT_EXAMPLE_NODE=1")
	p.cmd.Stderr = os.Stderr
	in, err := p.cmd.StdinPipe()
	require.NoError(t, err)
	out, err := p.cmd.StdoutPipe()
	require.NoError(t, err)
	p.in = in
	require.NoError(t, p.cmd.Start())
	go p.read(out)
	t.Cleanup(func() { _ = p.cmd.Process.Kill(); _ = p.cmd.Wait() })
	return p
}

func (p *process) read(out io.Reader) {
	for s := bufio.NewScanner(out); s.Scan(); {
		verb, rest, _ := strings.Cut(s.Text(), " ")
		p.mu.Lock()
		switch verb {
		case "applied":
			_, text, _ := strings.Cut(rest, " ")
			p.applied[text] = true
		case "log":
			p.state = rest
		case "leader":
			p.leader = rest
		case "snapshot":
			p.snapshots++
		}
		p.mu.Unlock()
	}
}

func (p *process) tell(line string) { _, _ = fmt.Fprintln(p.in, line) }

func (p *process) has(text string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.applied[text]
}

func (p *process) kill(t *testing.T) {
	require.NoError(t, p.cmd.Process.Kill()) // SIGKILL
	_ = p.cmd.Wait()
}

// until waits for something that the processes do.
func until(t *testing.T, what string, f func() bool) {
	t.Helper()
	require.Eventually(t, f, 60*time.Second, 20*time.Millisecond, what)
}

// propose has lines replicated: it repeats one until a node that is asked has applied it,
// since raft may drop a proposal.
func propose(t *testing.T, by *process, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		text := fmt.Sprintf("line-%d", i)
		asked := time.Time{}
		until(t, text, func() bool {
			if by.has(text) {
				return true
			}
			if time.Since(asked) > 2*time.Second {
				by.tell("propose " + text)
				asked = time.Now()
			}
			return false
		})
	}
}

// agree waits until all nodes have the same log, of so many lines at least.
func agree(t *testing.T, least int, nodes ...*process) {
	t.Helper()
	until(t, "the logs agree", func() bool {
		seen := map[string]bool{}
		for _, p := range nodes {
			p.tell("log")
			p.mu.Lock()
			seen[p.state] = true
			p.mu.Unlock()
		}
		var lines int
		for s := range seen {
			_, _ = fmt.Sscan(s, &lines)
		}
		return len(seen) == 1 && lines >= least
	})
}

// TestThreeProcesses: the leader is killed, the others go on, and when it is back with its
// old log, which has less than the others still have, all logs agree.
func TestThreeProcesses(t *testing.T) {
	var list []string
	dirs := map[int]string{}
	for id := 1; id <= 3; id++ {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer l.Close() // until all ports are taken
		list = append(list, fmt.Sprintf("%d=%s", id, l.Addr()))
		dirs[id] = t.TempDir()
		require.NoError(t, l.Close())
	}
	peers := strings.Join(list, ",")
	nodes := map[int]*process{}
	for id := range dirs {
		nodes[id] = start(t, id, peers, dirs[id])
	}
	propose(t, nodes[1], 0, 10)
	agree(t, 10, nodes[1], nodes[2], nodes[3])

	var leader int
	until(t, "a leader", func() bool {
		nodes[1].mu.Lock()
		defer nodes[1].mu.Unlock()
		_, _ = fmt.Sscan(nodes[1].leader, &leader)
		return leader != 0
	})
	nodes[leader].kill(t)
	other := nodes[leader%3+1]
	propose(t, other, 10, 90) // past a snapshot: the entries before it are forgotten
	nodes[leader] = start(t, leader, peers, dirs[leader])
	agree(t, 90, nodes[1], nodes[2], nodes[3])
	back := nodes[leader]
	back.mu.Lock()
	defer back.mu.Unlock()
	require.NotZero(t, back.snapshots, "the node that was away has got a snapshot")
}
