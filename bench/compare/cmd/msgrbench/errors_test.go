package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/asyncmsgr/asyncmsgr/bench/internal/command"
	"github.com/asyncmsgr/asyncmsgr/bench/internal/command/commandtest"
	"github.com/stretchr/testify/require"
)

// TestErrors: bad input is complained about before anything is measured or written.
func TestErrors(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, []byte("as it was"), 0o600))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	used := l.Addr().String()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	nobody := free.Addr().String()
	require.NoError(t, free.Close())

	for _, c := range []struct {
		args string // fields; DIR, FILE, USED and NOBODY are as above
		code int
		says string
	}{
		{"help nope", command.ExitUsage, "msgrbench help: there is no subcommand nope; there are compare, " +
			"ceph-perf, rpc, workers, completion, help (see msgrbench help --help)"},
		{"nope", command.ExitUsage, `msgrbench: no scenario "nope"; there are ping-pong, `},
		{"nope", command.ExitUsage, ", ceph-perf (see msgrbench compare --help)"},
		{"--nope", command.ExitUsage, "msgrbench: unknown flag --nope (see msgrbench --help)"},
		{"compare --nope", command.ExitUsage, "msgrbench: unknown flag --nope (see msgrbench compare --help)"},
		{"--rounds=0", command.ExitUsage,
			"msgrbench: --rounds and --seconds are to be more than 0, and 10000 and 1000000 at most"},
		{"--seconds=nan", command.ExitUsage, "msgrbench: --rounds and --seconds are to be more than 0"},
		{"--only", command.ExitUsage, "msgrbench: --only: the value is missing (see msgrbench --help)"},
		{"--only=nobody", command.ExitUsage, `msgrbench: no contestant "nobody"; there are async-fast, async-queue, `},
		{"--quick --full", command.ExitUsage, "msgrbench: --quick and --full can't be used together"},
		{"compare --quick workers", command.ExitUsage,
			"msgrbench: --quick has nothing of workers (see msgrbench compare --help)"},
		{"--out=FILE", command.ExitUsage,
			"not a directory; give a folder that can be written (see msgrbench compare --help)"},
		{"--out=/proc/nope", command.ExitUsage, "give a folder that can be written (see msgrbench compare --help)"},
		{"--json=DIR", command.ExitUsage,
			"is a directory; give a file that can be written (see msgrbench compare --help)"},
		{"--json=FILE/rows", command.ExitUsage,
			"not a directory; give a file that can be written (see msgrbench compare --help)"},
		{"workers nope", command.ExitUsage,
			"msgrbench workers: unexpected argument nope (see msgrbench workers --help)"},
		{"workers --rounds=0", command.ExitUsage, "msgrbench workers: --rounds 0 is not within 1 to 1000"},
		{"workers --seconds=nan", command.ExitUsage, "msgrbench workers: --seconds is to be more than 0"},
		{"ceph-perf nope", command.ExitUsage,
			"msgrbench ceph-perf: unexpected argument nope (see msgrbench ceph-perf --help)"},
		{"ceph-perf --nope", command.ExitUsage,
			"msgrbench ceph-perf: unknown flag --nope (see msgrbench ceph-perf --help)"},
		{"ceph-perf --jobs=0", command.ExitUsage,
			"msgrbench ceph-perf: jobs 0 is not within 1 to 10000 (see msgrbench ceph-perf --help)"},
		{"ceph-perf --think=much", command.ExitUsage, `--think: expected duration but got "much"`},
		{"ceph-perf --patience=0s", command.ExitUsage,
			"msgrbench ceph-perf: --patience is to be more than 0 (see msgrbench ceph-perf --help)"},
		{"ceph-perf --serve=here", command.ExitUsage,
			`"here" is not IP:PORT; give it such as 127.0.0.1:6800, or [::1]:6800 (see msgrbench ceph-perf --help)`},
		{"ceph-perf --serve=127.0.0.1:99999", command.ExitUsage, `"127.0.0.1:99999" is not IP:PORT`},
		{"ceph-perf --connect=localhost:1", command.ExitUsage, `"localhost:1" is not IP:PORT`},
		{"ceph-perf --serve=127.0.0.1:1 --connect=127.0.0.1:1", command.ExitUsage,
			"--serve and --connect can't be used together"},
		{"ceph-perf --serve=USED", command.ExitFault,
			"address already in use; give another port, or 0 for one that is free"},
		{"ceph-perf --serve=192.0.2.1:0", command.ExitFault,
			"cannot assign requested address; give an address of this machine"},
		{"ceph-perf --connect=NOBODY --jobs=1 --patience=100ms", command.ExitFault,
			"connection refused; start msgrbench ceph-perf --serve there first"},
	} {
		args := strings.NewReplacer("DIR", dir, "FILE", file, "USED", used, "NOBODY", nobody).Replace(c.args)
		commandtest.WantComplaint(t, run, "msgrbench", args, c.code, c.says)
	}
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, "as it was", string(text))
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, left, 1, "nothing is left behind")
}

func TestStdoutFull(t *testing.T) {
	for _, args := range []string{"ceph-perf --jobs=1 --messages=10", "ceph-perf --jobs=1 --messages=10 --json"} {
		commandtest.WantNoSuccess(t, run, "msgrbench", args)
	}
}
