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

// TestErrors walks through all subcommands with bad input: what is wrong comes in one
// line on stderr, which says who complains, what is wrong and what to do, and nothing is
// measured, run or written before.
func TestErrors(t *testing.T) {
	dir := t.TempDir()
	file, scenario := filepath.Join(dir, "file"), filepath.Join(dir, "scenario")
	absent := filepath.Join(dir, "absent", "file")
	require.NoError(t, os.WriteFile(file, []byte("as it was"), 0o600))
	require.NoError(t, os.WriteFile(scenario, []byte("node a\nnode b\n"), 0o600))
	free, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	nobody := free.Addr().String()
	require.NoError(t, free.Close())

	for _, c := range []struct {
		args string // fields; DIR, FILE, SCENARIO, ABSENT and NOBODY are as above
		code int
		says string
	}{
		{"nope", command.ExitUsage, "msgr: unexpected argument nope, did you mean one of \"top\", \"node\"? "},
		{"--nope", command.ExitUsage, "msgr: unknown flag --nope (see msgr --help)"},
		{"help nope", command.ExitUsage, "msgr help: there is no subcommand nope; there are demo, bench, decode, " +
			"hostile, sim, sim-merge, ping, dump, top, cert, ceph, node, put, get, del, ls, status, " +
			"completion, version, help (see msgr help --help)"},
		{"help demo nope", command.ExitUsage, "msgr help: there is no subcommand demo nope; there are demo, "},
		{"help --nope", command.ExitUsage, "msgr help: unknown flag --nope (see msgr help --help)"},
		{"version nope", command.ExitUsage, "msgr version: unexpected argument nope (see msgr version --help)"},

		{"demo nope", command.ExitUsage, "msgr demo: unexpected argument nope (see msgr demo --help)"},
		{"demo --nope", command.ExitUsage, "msgr demo: unknown flag --nope (see msgr demo --help)"},
		{"demo --osds", command.ExitUsage, "msgr demo: --osds: the value is missing, int (see msgr demo --help)"},
		{"demo --osds=x", command.ExitUsage,
			`msgr demo: --osds: expected a valid 64 bit int but got "x" (see msgr demo --help)`},
		{"demo --osds=65", command.ExitUsage, "msgr demo: 65 OSDs: not in 1..64 (see msgr demo --help)"},
		{"demo --seconds=-1", command.ExitUsage, "msgr demo: --seconds is to be more than 0 and 1000000 at most"},
		{"demo --seconds=nan", command.ExitUsage, "msgr demo: --seconds is to be more than 0"},
		{"demo --seconds=1e300", command.ExitUsage, "msgr demo: --seconds is to be more than 0"},
		{"demo --cut-rate=nan", command.ExitUsage, "--cut-rate not less (see msgr demo --help)"},
		{"demo --cut-rate=inf", command.ExitUsage,
			"msgr demo: +Inf cuts a second: at most 10000 (see msgr demo --help)"},
		{"demo --sizes=1,x", command.ExitUsage, `--sizes: expected a valid 64 bit int but got "x"`},
		{"demo --sizes=0", command.ExitUsage, "msgr demo: object size 0 is not in 1..16777216 (see msgr demo --help)"},
		{"demo --conns=20000", command.ExitUsage,
			"msgr demo: 20000 clients in all: not in 1..10000 (see msgr demo --help)"},
		{"demo --seed=-1", command.ExitUsage,
			`--seed: expected a valid 64 bit uint but got "-1" (see msgr demo --help)`},

		{"bench", command.ExitFault, "msgr bench: comparing is a command of its own"},
		{"bench ceph-perf --jobs=1", command.ExitFault, "make bench, or go run ./bench/compare/cmd/msgrbench"},
		{"bench --quick", command.ExitFault, "go run ./bench/compare/cmd/msgrbench"},

		{"decode", command.ExitUsage, "msgr decode: <file> ... is missing (see msgr decode --help)"},
		{"decode --nope FILE", command.ExitUsage, "msgr decode: unknown flag --nope (see msgr decode --help)"},
		{"decode ABSENT", command.ExitFault, "no such file or directory; give the name of a recording"},
		{"decode DIR", command.ExitFault, "is a directory; give the name of a recording"},
		{"decode FILE", command.ExitFault, "line 1: 3 fields, want 5; a recording is described in msgr decode --help"},
		{"decode --keyring", command.ExitUsage,
			"msgr decode: --keyring: the value is missing, string (see msgr decode --help)"},
		{"decode --keyring=ABSENT FILE", command.ExitFault, "no such file or directory; give the name of a keyring"},
		{"decode --keyring=DIR FILE", command.ExitFault, "is a directory; give the name of a keyring"},
		{"decode --keyring=FILE FILE", command.ExitFault,
			"line 1: neither a section nor an option with its value, such as key = AQ...=="},

		{"sim nope", command.ExitUsage, `msgr sim: no scenario or file "nope"; there are gossip`},
		{"sim SCENARIO nope", command.ExitUsage, "msgr sim: unexpected argument nope (see msgr sim --help)"},
		{"sim --nope", command.ExitUsage,
			`msgr sim: unknown flag --nope, did you mean "--nodes"? (see msgr sim --help)`},
		{"sim --scenario=ABSENT", command.ExitUsage,
			"; there are gossip, store, fan-in, storm, swarm (see msgr sim --help)"},
		{"sim --scenario=DIR", command.ExitUsage,
			"is a directory; give a file with a scenario, or one of gossip, store, fan-in, storm, swarm"},
		{"sim --scenario=FILE", command.ExitUsage, `:1:1: unknown step "as" (see msgr sim --help)`},
		{"sim --scenario=/dev/null", command.ExitUsage,
			"/dev/null has no nodes; a scenario begins with lines such as node a"},
		{"sim --nodes=1", command.ExitUsage, "msgr sim: gossip has at least 2 nodes, not 1 (see msgr sim --help)"},
		{"sim --seeds=9-2", command.ExitUsage,
			"msgr sim: --seeds=9-2: seeds are two numbers, such as 1-1000, the smaller one first"},
		{"sim --faults=x", command.ExitUsage,
			"msgr sim: --faults=x: faults are a number, such as 20, a rate, such as 5/s, or none"},
		{"sim --until=x", command.ExitUsage, `--until: expected duration but got "x"`},
		{"sim --trace=DIR", command.ExitUsage,
			"is a directory; give the name of a file that can be written (see msgr sim --help)"},
		{"sim --chart=ABSENT", command.ExitUsage,
			"no such file or directory; give the name of a file that can be written"},
		{"sim --trace=ABSENT --chart=ABSENT", command.ExitUsage,
			"msgr sim: --trace and --chart are the same file; give different ones"},
		{"sim --scenario=SCENARIO --trace=SCENARIO", command.ExitUsage,
			"msgr sim: --scenario and --trace are the same file; give different ones"},

		{"ping", command.ExitUsage, "msgr ping: <addr> is missing (see msgr ping --help)"},
		{"ping --nope NOBODY", command.ExitUsage,
			`msgr ping: unknown flag --nope, did you mean one of "--type", "--mode", "--name"? (see msgr ping --help)`},
		{"ping nope", command.ExitUsage,
			`"nope" is no address; give it as v2:HOST:PORT/NONCE, ` +
				`such as v2:127.0.0.1:3300/0 or v2:[::1]:3300/0 (see msgr ping --help)`},
		{"ping v1:127.0.0.1:6789/0", command.ExitUsage,
			"v1:127.0.0.1:6789/0 is no address of msgr v2; give that, such as v2:HOST:3300/0"},
		{"ping NOBODY nope", command.ExitUsage, "msgr ping: unexpected argument nope (see msgr ping --help)"},
		{"ping --count=0 NOBODY", command.ExitUsage,
			"msgr ping: --count and --timeout must be positive, --interval not negative (see msgr ping --help)"},
		{"ping --type=king NOBODY", command.ExitUsage,
			`--type must be one of "mon","mds","osd","client","mgr","any" but got "king"`},
		{"top", command.ExitUsage, "msgr top: <path> is missing (see msgr top --help)"},
		{"top ABSENT --once", command.ExitFault, "no process has made an admin socket there"},
		{"top ABSENT --interval=1ms", command.ExitUsage, "msgr top: --interval is to be 10ms or more"},
		{"top ABSENT --timeout=0s", command.ExitUsage, "msgr top: --timeout is to be more than 0"},
		{"top ABSENT --count=-1", command.ExitUsage, "msgr top: --count is not to be negative"},
		{"top ABSENT --max=0", command.ExitUsage, "msgr top: --max is to be 1 or more"},
		{"top ABSENT --sort=age", command.ExitUsage, `--sort must be one of "received","sent","bytes","queue",`},
		{"cert", command.ExitUsage,
			`msgr cert: expected one of "init", "issue", "show", "renew" (see msgr cert --help)`},
		{"cert nope", command.ExitUsage, "msgr cert: unexpected argument nope (see msgr cert --help)"},
		{"cert init", command.ExitUsage, "msgr cert init: missing flags: --dir=DIR (see msgr cert init --help)"},
		{"cert init --dir=DIR --days=0", command.ExitUsage,
			"msgr cert init: --days is 0: not in 1..36500 (see msgr cert init --help)"},
		{"cert init --dir=DIR --authority=", command.ExitUsage, "--authority has 0 bytes: not in 1..64"},
		{"cert init --dir=FILE", command.ExitFault, "not a directory"},
		{"cert issue --dir=DIR", command.ExitUsage, "msgr cert issue: missing flags: --name=NAME"},
		{"cert issue --dir=DIR --name=osd", command.ExitUsage, `--name: tlsauth: "osd" is no name: entity: auth name ` +
			`"osd" has no dot; give one such as osd.3 or client.admin (see msgr cert issue --help)`},
		{"cert issue --dir=DIR --name=../osd.3", command.ExitUsage, "is no name"},
		{"cert issue --dir=DIR --name=osd.../x", command.ExitUsage, "is no name"},
		{"cert issue --dir=DIR --name=osd.3 --days=36501", command.ExitUsage, "--days is 36501: not in 1..36500"},
		{"cert issue --dir=DIR --name=osd.3", command.ExitFault,
			"ca.pem: no such file or directory; give the name of an authority, which msgr cert init makes"},
		{"cert renew --dir=DIR --name=osd.3 --days=-1", command.ExitUsage, "--days is -1: not in 1..36500"},
		{"cert renew --dir=DIR --name=osd.3", command.ExitFault,
			"osd.3.pem: no such file or directory; give the name of a certificate, which msgr cert issue makes"},
		{"cert show", command.ExitUsage, "msgr cert show: <file> ... is missing (see msgr cert show --help)"},
		{"cert show ABSENT", command.ExitFault, "no such file or directory; give the name of a file with certificates"},
		{"cert show DIR", command.ExitFault, "is a directory; give the name of a file with certificates"},
		{"cert show FILE", command.ExitFault, "it has no certificate in PEM"},
		{"node", command.ExitUsage, "msgr node: missing flags: --name=STRING (see msgr node --help)"},
		{"node --name=king", command.ExitUsage, "--name: "},
		{"node --name=client.1", command.ExitUsage, "client.1 is no name of a node; give one such as osd.1"},
		{"node --name=osd-1 --listen=host", command.ExitUsage,
			`--listen: "host" is no address; give one such as :7000`},
		{"node --name=osd.1 --initial=osd.1,x", command.ExitUsage, "--initial: "},
		{"node --name=osd.1 --advertise=host", command.ExitUsage, `--advertise: "host" is no IP address`},
		{"node --name=osd.1 --down-after=1ms", command.ExitUsage, "--down-after 1s or more"},
		{"node --name=osd.1 --resolver=etcd://host/x", command.ExitUsage, "that is in msgrnode"},
		{"node --name=osd.1 --resolver=zoo://host/x", command.ExitUsage, "there are file:// and srv://"},
		{"node --name=osd.1 --listen=127.0.0.1:0 --data=FILE", command.ExitFault, "not a directory"},
		{"node --name=osd.1 --secret-file=ABSENT", command.ExitUsage, "no such file or directory"},
		{"put", command.ExitUsage, "msgr put: <key> is missing (see msgr put --help)"},
		{"put a b --timeout=0s", command.ExitUsage, "--timeout is to be more than 0"},
		{"put a b --join=127.0.0.1:1 --timeout=300ms", command.ExitFault, "connection refused"},
		{"get a --join=nowhere --timeout=300ms", command.ExitFault, "missing port in address"},
		{"status --join=127.0.0.1:1 --timeout=300ms", command.ExitFault, "connection refused"},
		{"ping --timeout=x NOBODY", command.ExitUsage, `--timeout: expected duration but got "x"`},
	} {
		args := strings.NewReplacer("DIR", dir, "FILE", file, "SCENARIO", scenario, "ABSENT", absent,
			"NOBODY", nobody).Replace(c.args)
		commandtest.WantComplaint(t, run, "msgr", args, c.code, c.says)
	}
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, "as it was", string(text))
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, left, 2, "nothing is left behind")
}

// TestStdoutFull: a result that could not be printed is no success.
func TestStdoutFull(t *testing.T) {
	for _, args := range []string{
		"version", "demo --seconds=0.05 --clients=1 --conns=1 --cut-rate=0",
		"demo --seconds=0.05 --clients=1 --conns=1 --cut-rate=0 --json",
		"sim --nodes=3", "sim --nodes=3 --json", "decode " + recordings + "none-crc-ping.0.hex", "ping --json nope",
	} {
		commandtest.WantNoSuccess(t, run, "msgr", args)
	}
}
