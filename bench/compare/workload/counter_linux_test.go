package workload

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestCounter: system calls are counted where that can be done.
func TestCounter(t *testing.T) {
	_, note := newCounter()
	require.NotEmpty(t, note)
	t.Log(note)
	for name, make := range map[string]func() (counter, error){
		"tracepoint": newPerfCounter, "strace": newStraceCounter,
	} {
		t.Run(name, func(t *testing.T) {
			count, err := make()
			if err != nil {
				t.Skip(err)
			}
			testCounter(t, count)
		})
	}
}

func testCounter(t *testing.T, count counter) {
	server, _, err := launch(t.Context(), exe(t), &Contestant{Name: "good"}, order{Contestant: "good"})
	require.NoError(t, err)
	stop, err := count([]int{server.cmd.Process.Pid})
	require.NoError(t, err)
	for range 10 {
		_, err = server.ask(askUse)
		require.NoError(t, err)
	}
	n, err := stop()
	require.NoError(t, err)
	require.GreaterOrEqual(t, n, int64(20), "it reads and writes at least")
	require.NoError(t, server.end(nil))
}

func TestStraceTotal(t *testing.T) {
	n, err := straceTotal("    calls syscall\n--------- ------\n  5 read\n  3 write\n--------- ------\n  8 total\n")
	require.NoError(t, err)
	require.EqualValues(t, 8, n)
	_, err = straceTotal("")
	require.Error(t, err)
}

func exe(t *testing.T) string {
	t.Helper()
	p, err := os.Executable()
	require.NoError(t, err)
	return p
}
