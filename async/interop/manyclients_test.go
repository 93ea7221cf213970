//go:build linux

package interop

import (
	"crypto/rand"
	"encoding/base64"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/mon/wire"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/async/tickets"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
	"github.com/asyncmsgr/asyncmsgr/connection/auth/cephx"
)

var (
	manyLibrados = flag.Int("librados-clients", 4, "how many clients of librados TestCephxManyRealClientsOfOurs has")
	manyCeph     = flag.Int("ceph-processes", 2, "how many times it runs ceph at once")
)

// librados clients of one process, whose start takes longer than all that it is asked.
const libradosPerProcess = 5

// manyScript has clients of librados, each with a name of its own, log in at the same time and
// run commands. It prints the number that each was given.
const manyScript = `
import rados, sys, threading
conf, names = sys.argv[1], sys.argv[2:]
lock, ready = threading.Lock(), threading.Barrier(len(names))
def client(name):
    c = rados.Rados(conffile=conf, name=name, conf={'client_mount_timeout': '50', 'rados_mon_op_timeout': '50'})
    ready.wait()
    c.connect(timeout=50)
    answered = 0
    for i in range(50):
        data = (name + str(i)).encode() * i
        ret, out, outs = c.mon_command('{"prefix":"echo"}', data, timeout=50)
        assert ret == 0 and out == data, (name, i, ret, outs)
        ret, out, outs = c.mon_command('{"prefix":"count","n":%d}' % i, b'', timeout=50)
        assert ret == 0 and outs == 'count %d' % i, (name, i, ret, outs)
        answered += 2
    with lock:
        print(name, answered, c.get_instance_id(), flush=True)
    c.shutdown()
threads = [threading.Thread(target=client, args=(n,)) for n in names]
for t in threads: t.start()
for t in threads: t.join()
`

// TestCephxManyRealClientsOfOurs: three monitors of ours are a ticket server, and many of Ceph's
// clients log in there at once, by turns in crc and in secure mode: those of librados, which call
// all three and keep one of them, and ceph, which pings one. Each has a key and a name of its own,
// is known by that name in that mode, is answered, and has a number that no other one has.
func TestCephxManyRealClientsOfOurs(t *testing.T) {
	Need(t, "ceph")
	NeedRados(t)
	var names []string
	for i := range *manyLibrados {
		names = append(names, fmt.Sprintf("client.rados%d", i))
	}
	for i := range *manyCeph {
		names = append(names, fmt.Sprintf("client.ceph%d", i))
	}
	keyring := keyringOf(t, names)
	mons := serveTickets(t, keyring)
	confs := []string{cephxConf(t, mons, keyring, "crc"), cephxConf(t, mons, keyring, "secure")}
	modes := []uint32{auth.ModeCRC, auth.ModeSecure}

	began := time.Now()
	ctx := testContext(t, patience+time.Duration(len(names))*4*time.Second)
	var wg sync.WaitGroup
	said := make(chan string, len(names)) // lines of manyScript
	want := map[string]uint32{}           // who logs in, in which mode
	process := 0
	for first := 0; first < *manyLibrados; first += libradosPerProcess {
		group, which := names[first:min(first+libradosPerProcess, *manyLibrados)], process%2
		process++
		for _, n := range group {
			want[n] = modes[which]
		}
		wg.Go(func() {
			out, stderr, err := Python(ctx, t, manyScript, append([]string{confs[which]}, group...)...)
			expect(t, err == nil, "%s: %v\n%s%s", group, err, out, stderr)
			for line := range strings.Lines(out) {
				said <- strings.TrimSpace(line)
			}
		})
	}
	for i, name := range names[*manyLibrados:] {
		mon, which := mons.names[i%len(mons.names)], (i+1)%2
		want[name] = modes[which]
		wg.Go(func() {
			out, stderr, err := Ceph(ctx, t, confs[which], "--name", name, "ping", "mon."+mon)
			expect(t, err == nil && strings.Contains(out, fmt.Sprintf("%q", mon)) && strings.Contains(out, "leader"),
				"%s pings mon.%s: %v\n%s%s", name, mon, err, out, stderr)
		})
	}
	wg.Wait()
	t.Logf("%d clients of librados in %d processes, and %d of ceph, in %.1f s", *manyLibrados, process, *manyCeph,
		time.Since(began).Seconds())
	close(said)
	numbers := map[uint64]string{}
	for line := range said {
		var name string
		var answered, number uint64
		_, err := fmt.Sscan(line, &name, &answered, &number)
		require.NoError(t, err, line)
		require.Equal(t, uint64(100), answered, name)
		require.NotZero(t, number)
		require.Empty(t, numbers[number], "%s has the same number", name)
		numbers[number] = name
	}
	require.Len(t, numbers, *manyLibrados)
	require.Equal(t, want, mons.modes())
	answers := 0
	for _, s := range mons.servers {
		require.Empty(t, s.Failures())
		answers += s.Seen(msg.TypeMonCommand)
	}
	require.GreaterOrEqual(t, answers, 100**manyLibrados)
}

// keyringOf is a keyring with "mon.", and keys of the release's type for names.
func keyringOf(t *testing.T, names []string) string {
	t.Helper()
	ring, err := cephx.ReadKeyring(strings.NewReader(CephxKeyring(t)))
	require.NoError(t, err)
	like, err := ring.Find(admin)
	require.NoError(t, err)
	size := map[cephx.KeyType]int{cephx.TypeAES: 16, cephx.TypeAES256K: 32}[like.Type()]
	text := CephxKeyring(t)
	for i, name := range names {
		secret := make([]byte, size)
		secret[0], secret[1] = byte(i), byte(i>>8)
		key, err := cephx.NewKey(like.Type(), secret)
		require.NoError(t, err)
		text += fmt.Sprintf("[%s]\n\tkey = %s\n\tcaps mon = \"allow *\"\n", name,
			base64.StdEncoding.EncodeToString(key.Append(nil)))
	}
	return text
}

// ticketMons are monitors of ours: a ticket server.
type ticketMons struct {
	names   []string
	addrs   []entity.Addr
	servers []*MonServer

	mu   sync.Mutex
	peer map[string]uint32 // who logged in, in which mode
	bad  []string          // who was let in though he proved nothing, or in two modes
}

// serveTickets starts monitors a, b and c, which let those of the keyring in.
func serveTickets(t *testing.T, keyring string) *ticketMons {
	t.Helper()
	x := &ticketMons{names: []string{"a", "b", "c"}, peer: map[string]uint32{}}
	fsid, err := wire.ParseUUID(FSID)
	require.NoError(t, err)
	mons := wire.MonMap{FSID: fsid, Epoch: 1}
	for _, name := range x.names {
		addr := entity.Addr{Type: entity.AddrMsgr2, AddrPort: FreeAddr(t)}
		x.addrs = append(x.addrs, addr)
		mons.Mons = append(mons.Mons, wire.MonInfo{Name: name, Addrs: entity.AddrVec{addr}})
	}
	for i, name := range x.names {
		ring, err := cephx.ReadKeyring(strings.NewReader(keyring))
		require.NoError(t, err)
		monitor, err := cephx.NewMonitor(cephx.MonitorConfig{Keyring: ring, AllowAES: true,
			Modes: []uint32{auth.ModeSecure, auth.ModeCRC}, Rand: rand.Reader, Now: time.Now})
		require.NoError(t, err)
		s := &MonServer{Map: mons, Execute: execute,
			Status: fmt.Sprintf(`{"mon_status":{"name":%q,"state":"leader"}}`, name)}
		x.servers = append(x.servers, s)
		m := newMessenger(t, async.Config{Name: entity.Mon(int64(i)), FixedNonce: true, AuthServer: monitor,
			Authorize: x.authorize}, msg.StatelessServer())
		tickets.Serve(m, monitor)
		m.AddDispatcherTail(s)
		require.NoError(t, m.Bind(x.addrs[i].AddrPort))
		require.NoError(t, m.Start())
	}
	t.Cleanup(func() { require.Empty(t, x.bad) })
	return x
}

func (x *ticketMons) authorize(p auth.Peer) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	name := p.Name.String()
	if mode, ok := x.peer[name]; !p.Proved || ok && mode != p.Mode {
		x.bad = append(x.bad, fmt.Sprintf("%s proved %t, mode %d", name, p.Proved, p.Mode))
	}
	x.peer[name] = p.Mode
	return nil
}

// modes is who logged in, in which mode.
func (x *ticketMons) modes() map[string]uint32 {
	x.mu.Lock()
	defer x.mu.Unlock()
	return maps.Clone(x.peer)
}

// cephxConf is a ceph.conf of clients of all of the monitors that want that mode, with a keyring.
func cephxConf(t *testing.T, x *ticketMons, keyring, mode string) string {
	t.Helper()
	conf := ClientConf(t, x.addrs[0].AddrPort)
	text, err := os.ReadFile(conf)
	require.NoError(t, err)
	var hosts []string
	for _, a := range x.addrs {
		hosts = append(hosts, fmt.Sprintf("[v2:%s/0]", a.AddrPort))
	}
	with := strings.NewReplacer("required = none", "required = cephx", "mode = crc", "mode = "+mode,
		hosts[0], strings.Join(hosts, ","))
	require.NoError(t, os.WriteFile(conf, []byte(with.Replace(string(text))), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(filepath.Dir(conf), "keyring"), []byte(keyring), 0o600))
	return conf
}
