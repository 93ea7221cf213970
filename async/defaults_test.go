package async

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/stretchr/testify/require"
)

// childEnv has the test binary run a function instead of the tests: the default stack
// and executor are never closed, which the tests' processes could not bear.
const childEnv = "ASYNC_TEST_CHILD"

var children = map[string]func() error{"defaults": useDefaults}

// runChild runs the child that is asked for, if one is, and does not return then.
func runChild() {
	f := children[os.Getenv(childEnv)]
	if f == nil {
		return
	}
	if err := f(); err != nil {
		fmt.Println("failed:", err)
		os.Exit(1)
	}
	fmt.Println("done")
	os.Exit(0)
}

// must ends a child.
func must[T any](x T, err error) T {
	if err != nil {
		panic(err)
	}
	return x
}

func check(err error) { must(0, err) }

// answering sends every message back.
type answering struct{}

func (answering) Dispatch(m *msg.Message) bool {
	check(m.Connection().Send(&msg.Message{Type: m.Type, TID: m.TID, Data: m.Data}))
	return true
}

// inbox hands each message to whoever reads the channel.
type inbox chan *msg.Message

func (b inbox) Dispatch(m *msg.Message) bool { b <- m; return true }

// useDefaults does what a user does who configures nothing: several messengers in one
// process, which come and go.
func useDefaults() error {
	const rounds, each = 3, 500
	limit, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	server := must(New(Config{Name: entity.OSD(0)}))
	server.SetDefaultPolicy(msg.StatefulServer())
	server.AddDispatcherTail(answering{})
	check(server.Bind(local))
	check(server.Start())
	for range rounds {
		client, answers := must(New(Config{})), make(inbox, each)
		if client.Name() != entity.Client(-1) {
			return fmt.Errorf("the client is %s", client.Name())
		}
		client.SetDefaultPolicy(msg.LosslessClient())
		client.AddDispatcherTail(answers)
		check(client.Start())
		conn := must(client.ConnectTo(entity.TypeOSD, server.Addrs()))
		for i := range each {
			check(conn.Send(&msg.Message{Type: 1000, TID: uint64(i), Data: fmt.Append(nil, i)}))
		}
		for i := range each {
			select {
			case m := <-answers:
				if m.TID != uint64(i) || string(m.Data) != fmt.Sprint(i) || m.Source() != entity.OSD(0) {
					return fmt.Errorf("answer %d is %d %q of %s", i, m.TID, m.Data, m.Source())
				}
				m.Release()
			case <-limit.Done():
				return fmt.Errorf("answer %d does not come; %+v; %+v", i, client.Stats(), server.Stats())
			}
		}
		check(client.Shutdown(limit))
	}
	check(server.Shutdown(limit))
	if n := server.Stats().Connections; n != 0 {
		return fmt.Errorf("%d connections are left", n)
	}

	// What they ran on is shared, and outlives them.
	stack, executor := must(DefaultStack()), must(DefaultExecutor())
	if stack != must(DefaultStack()) || executor != must(DefaultExecutor()) {
		return fmt.Errorf("there are several defaults")
	}
	for range 2 {
		if m := must(New(Config{})); m.cfg.Stack != stack || m.cfg.Executor != executor {
			return fmt.Errorf("a messenger does not use it")
		}
	}
	ran := make(chan int, 1)
	check(executor.Submit(func() { ran <- stack.NumWorkers() }))
	fmt.Println("workers:", <-ran, "processors:", runtime.GOMAXPROCS(0))
	return nil
}

// TestDefaults: messengers that are given neither a stack nor an executor.
func TestDefaults(t *testing.T) {
	exe, err := os.Executable()
	require.NoError(t, err)
	for _, procs := range []int{1, 3} {
		cmd := exec.CommandContext(timeout(t), exe)
		cmd.Env = append(os.Environ(), childEnv+"=defaults", fmt.Sprintf("GOMAXPROCS=%d", procs))
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		require.Contains(t, string(out), fmt.Sprintf("workers: %d processors: %d", procs, procs))
		require.True(t, strings.HasSuffix(string(out), "done\n"), "%s", out)
	}
}
