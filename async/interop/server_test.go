//go:build linux

package interop

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/mon/wire"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// serveMon starts a messenger of ours that real clients take for monitor a.
func serveMon(t *testing.T, s *MonServer, box *inbox) entity.Addr {
	t.Helper()
	return serveMonWith(t, s, box, msg.StatelessServer())
}

func serveMonWith(t *testing.T, s *MonServer, box *inbox, p msg.Policy) entity.Addr {
	t.Helper()
	addr := entity.Addr{Type: entity.AddrMsgr2, AddrPort: FreeAddr(t)}
	fsid, err := wire.ParseUUID(FSID)
	require.NoError(t, err)
	s.Map = wire.MonMap{FSID: fsid, Epoch: 1, Mons: []wire.MonInfo{{Name: "a", Addrs: entity.AddrVec{addr}}}}
	m := newMessenger(t, async.Config{Name: entity.Mon(0), FixedNonce: true}, p)
	m.AddDispatcherTail(s)
	m.AddDispatcherTail(box)
	require.NoError(t, m.Bind(addr.AddrPort))
	require.NoError(t, m.Start())
	return addr
}

// TestCephPing has Ceph's own command line ping us.
func TestCephPing(t *testing.T) {
	Need(t, "ceph")
	s, box := &MonServer{}, newInbox()
	addr := serveMon(t, s, box)
	out, stderr, err := Ceph(testContext(t, patience), t, ClientConf(t, addr.AddrPort), "ping", "mon.a")
	require.NoError(t, err, stderr)
	var status struct {
		MonStatus struct{ Name, State string } `json:"mon_status"`
	}
	require.NoError(t, json.Unmarshal([]byte(out), &status), out)
	require.Equal(t, "a", status.MonStatus.Name)
	require.Positive(t, s.Seen(msg.TypePing))
	require.Empty(t, s.Failures())
}

// echoScript is a librados client that sends data segments of growing size and
// checks what comes back.
const echoScript = `
import rados, sys
sizes = [0, 1, 100, 4095, 4096, 65536, 262145, 1 << 20]
c = rados.Rados(conffile=sys.argv[1], conf={'client_mount_timeout': '20', 'rados_mon_op_timeout': '20'})
c.connect(timeout=20)
print('fsid', c.get_fsid())
for n in sizes:
    data = bytes((i * 7 + n) % 251 for i in range(n))
    ret, out, outs = c.mon_command('{"prefix":"echo"}', data, timeout=20)
    print('echo', n, ret, out == data, outs)
for i in range(200):
    ret, out, outs = c.mon_command('{"prefix":"count","n":%d}' % i, b'', timeout=20)
    assert ret == 0 and outs == 'count %d' % i, (i, ret, outs)
ret, out, outs = c.mon_command('{"prefix":"refuse"}', b'', timeout=20)
print('refuse', ret, outs)
c.shutdown()
print('done')
`

// TestRadosEchoesThroughUs has librados, a real client, connect to us and send
// us data.
func TestRadosEchoesThroughUs(t *testing.T) {
	NeedRados(t)
	box := newInbox()
	s := &MonServer{Execute: execute}
	addr := serveMon(t, s, box)
	out, stderr, err := Python(testContext(t, patience), t, echoScript, ClientConf(t, addr.AddrPort))
	require.NoError(t, err, out+stderr)
	want := []string{"fsid " + FSID}
	for _, n := range []int{0, 1, 100, 4095, 4096, 65536, 262145, 1 << 20} {
		want = append(want, fmt.Sprintf("echo %d 0 True %d bytes", n, n))
	}
	want = append(want, "refuse -13 no", "done")
	require.Equal(t, want, strings.Split(strings.TrimSpace(out), "\n"))
	require.Empty(t, s.Failures())
	require.NotEmpty(t, box.accepts)
}

// execute runs the commands of echoScript.
func execute(words []string, input []byte) (code int32, status string, output []byte) {
	var cmd struct {
		Prefix string
		N      int
	}
	if err := json.Unmarshal([]byte(strings.Join(words, "")), &cmd); err != nil {
		return -22, err.Error(), nil
	}
	switch cmd.Prefix {
	case "echo":
		return 0, fmt.Sprintf("%d bytes", len(input)), bytes.Clone(input)
	case "count":
		return 0, fmt.Sprintf("count %d", cmd.N), nil
	case "refuse":
		return -13, "no", nil
	}
	return -38, cmd.Prefix, nil
}
