package tickets_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/async/tickets"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
	"github.com/asyncmsgr/asyncmsgr/connection/auth/cephx"
)

// exampleKeyring is what ceph-authtool --gen-key writes; a real one is a file that its owner
// alone can read.
const exampleKeyring = `
[mon.]
	key = AgAAAAAAAAAAACAAAQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=
[osd.0]
	key = AgAAAAAAAAAAACAAcXJzdHV2d3h5ent8fX5/gIGCg4SFhoeIiYqLjI2Oj5A=
[client.admin]
	key = AgAAAAAAAAAAACAAQUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVpbXF1eX2A=
	caps osd = "allow *"
`

// keysOf are the name and the key of an entity in a configuration.
func keysOf(ring *cephx.Keyring, name string) cephx.ClientConfig {
	n, err := entity.ParseAuthName(name)
	check(err)
	key, err := ring.Find(n)
	check(err)
	return cephx.ClientConfig{Name: n, Key: key, Rand: rand.Reader, Now: time.Now}
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

// A cluster with cephx and without Ceph: a monitor that gives tickets, a daemon, and a client
// that talks with it, in secure mode.
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	ring, err := cephx.ReadKeyring(strings.NewReader(exampleKeyring))
	check(err)
	local := netip.MustParseAddrPort("127.0.0.1:0")

	// The monitor.
	monitor, err := cephx.NewMonitor(cephx.MonitorConfig{Keyring: ring, Rand: rand.Reader, Now: time.Now})
	check(err)
	mon, err := async.New(async.Config{Name: entity.Mon(0), FixedNonce: true, AuthServer: monitor})
	check(err)
	mon.SetDefaultPolicy(msg.StatelessServer())
	tickets.Serve(mon, monitor)
	check(mon.Bind(local))
	check(mon.Start())

	// The daemon: its Service gets its secrets by its Client.
	service, err := cephx.NewService(cephx.ServiceConfig{Type: entity.TypeOSD, Rand: rand.Reader, Now: time.Now})
	check(err)
	cfg := keysOf(ring, "osd.0")
	cfg.Service = service
	daemon, err := cephx.NewClient(cfg)
	check(err)
	osd, err := async.New(async.Config{Name: entity.OSD(0), AuthClient: auth.Secure(daemon), AuthServer: service})
	check(err)
	osd.SetDefaultPolicy(msg.StatelessServer())
	got := make(chan string)
	osd.AddDispatcherTail(dispatch(func(m *msg.Message) {
		peer := m.Connection().Authenticated()
		got <- fmt.Sprintf("%q of %s, who may %q, by %s in %s mode", m.Front, peer.Name, peer.Capabilities,
			auth.MethodName(peer.Method), auth.ModeName(peer.Mode))
	}))
	check(osd.Bind(local))
	check(osd.Start())
	keeper, err := tickets.New(osd, tickets.Config{Client: daemon, Mons: []entity.AddrVec{mon.Addrs()}})
	check(err)
	check(keeper.Ready(ctx))

	// The client.
	admin, err := cephx.NewClient(keysOf(ring, "client.admin"))
	check(err)
	m, err := async.New(async.Config{Name: entity.Client(entity.NumNew), AuthClient: auth.Secure(admin)})
	check(err)
	check(m.Start())
	_, err = tickets.New(m, tickets.Config{Client: admin, Mons: []entity.AddrVec{mon.Addrs()}})
	check(err)
	check(m.SendTo(&msg.Message{Type: 0x4000, Front: []byte("hello")}, entity.TypeOSD, osd.Addrs()))
	fmt.Println(<-got)

	for _, x := range []*async.Messenger{m, osd, mon} {
		check(x.Shutdown(ctx))
	}
	// Output:
	// "hello" of client.admin, who may "allow *", by cephx in secure mode
}

// dispatch takes all messages.
type dispatch func(m *msg.Message)

// Dispatch implements msg.Dispatcher.
func (f dispatch) Dispatch(m *msg.Message) bool { f(m); return true }
