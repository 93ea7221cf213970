package node

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/connection/auth/tlsauth"
	"github.com/stretchr/testify/require"
)

// daemons are nodes as processes have them, on loopback.
type daemons struct {
	t       *testing.T
	at      []netip.AddrPort
	data    string
	secret  tlsauth.Secret
	stop    []context.CancelFunc
	done    []chan error
	initial []entity.Name
}

func newDaemons(t *testing.T, n int) *daemons {
	d := &daemons{t: t, data: t.TempDir(), stop: make([]context.CancelFunc, n), done: make([]chan error, n)}
	for i := range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer l.Close()
		d.at = append(d.at, netip.MustParseAddrPort(l.Addr().String()))
		if i < 3 {
			d.initial = append(d.initial, entity.OSD(int64(i)))
		}
	}
	return d
}

func (d *daemons) keys(name string) *tlsauth.Auth {
	self, err := tlsauth.ParseName(name)
	require.NoError(d.t, err)
	a, err := tlsauth.SharedSecret(self, d.secret)
	require.NoError(d.t, err)
	return a
}

func (d *daemons) start(i int) {
	ctx, stop := context.WithCancel(context.Background())
	cfg := DaemonConfig{Name: entity.OSD(int64(i)), Listen: d.at[i], Initial: d.initial, Grace: 30 * time.Second,
		Data: filepath.Join(d.data, fmt.Sprint(i)), Logger: slog.New(slog.DiscardHandler)}
	for _, a := range d.at[:3] {
		cfg.Join = append(cfg.Join, a.String())
	}
	if d.secret != nil {
		a := d.keys(cfg.Name.String())
		cfg.AuthClient, cfg.AuthServer = a.Client(), a.Server()
	}
	d.stop[i], d.done[i] = stop, make(chan error, 1)
	go func() { d.done[i] <- Run(ctx, cfg) }()
}

func (d *daemons) end(i int) {
	d.stop[i]()
	require.NoError(d.t, <-d.done[i])
	d.done[i] = nil
}

func (d *daemons) client() *Client {
	cfg := async.Config{Logger: slog.New(slog.DiscardHandler)}
	if d.secret != nil {
		a := d.keys("client.test")
		cfg.AuthClient, cfg.AuthServer = a.Client(), a.Server()
	}
	w, err := NewNetwork(cfg, nil)
	require.NoError(d.t, err)
	require.NoError(d.t, w.Start())
	d.t.Cleanup(func() {
		for i := range d.done {
			if d.done[i] != nil {
				d.end(i)
			}
		}
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		_ = w.Close(ended)
	})
	c := &Client{Transport: w}
	for _, a := range d.at {
		addr, err := Lookup(d.t.Context(), a.String())
		require.NoError(d.t, err)
		c.Addrs = append(c.Addrs, addr...)
	}
	return c
}

// well waits until node i says that there are so many members, all of them ready.
func (d *daemons) well(c *Client, i, members int) (s Status) {
	d.t.Helper()
	require.Eventually(d.t, func() bool {
		var err error
		s, err = c.Status(d.t.Context(), c.Addrs[i])
		return err == nil && s.Ready() && !s.Joint && len(s.Members) == members
	}, 60*time.Second, 20*time.Millisecond)
	return s
}

// TestDaemons: what a user does with three nodes and a fourth, over real sockets.
func TestDaemons(t *testing.T) {
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprintf("secure=%t", secure), func(t *testing.T) {
			d := newDaemons(t, 4)
			if secure {
				d.secret = tlsauth.Secret(strings.Repeat("s", 32))
			}
			for i := range 3 {
				d.start(i)
			}
			c := d.client()
			d.well(c, 0, 3)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			_, err := c.Get(ctx, "a")
			require.ErrorIs(t, err, ErrNotFound)
			one, err := c.Put(ctx, "a", []byte("one"))
			require.NoError(t, err)
			two, err := c.Put(ctx, "a", []byte("two"))
			require.NoError(t, err)
			require.Positive(t, two.Compare(one))
			for i := range 200 {
				_, err := c.Put(ctx, fmt.Sprintf("many/%d", i), make([]byte, 2000))
				require.NoError(t, err)
			}
			for i := range 3 { // by way of each
				o, err := (&Client{Transport: c.Transport, Addrs: c.Addrs[i : i+1]}).Get(ctx, "a")
				require.NoError(t, err)
				require.Equal(t, "two", string(o.Value))
				require.Equal(t, two, o.Version)
			}
			_, err = c.Put(ctx, "large", make([]byte, ValueMax+1))
			require.ErrorIs(t, err, ErrTooLarge)
			_, err = c.Put(ctx, "", nil)
			require.ErrorIs(t, err, ErrTooLarge)
			_, err = c.Put(ctx, "largest", make([]byte, ValueMax))
			require.NoError(t, err)

			// A fourth one comes, fetches what is its own, and another one leaves for good.
			d.start(3)
			require.NotZero(t, d.well(c, 3, 4).Fetched)
			d.end(0)
			s := d.well(c, 3, 3)
			for _, m := range s.Members {
				require.NotEqual(t, "osd.0", m.Name)
			}
			keys, err := c.List(ctx, "many/")
			require.NoError(t, err)
			require.Len(t, keys, 200)
			_, err = c.Delete(ctx, "a")
			require.NoError(t, err)
			_, err = c.Get(ctx, "a")
			require.ErrorIs(t, err, ErrNotFound)

			// One of three ends, and comes back with its data: no map is needed for that.
			epoch := s.Epoch
			d.end(3)
			_, err = c.Put(ctx, "meanwhile", []byte("x"))
			require.NoError(t, err)
			d.start(3)
			require.Equal(t, epoch, d.well(c, 3, 3).Epoch)
			o, err := c.Get(ctx, "meanwhile")
			require.NoError(t, err)
			require.Equal(t, "x", string(o.Value))
		})
	}
}

// TestTwoClusters: nodes that were founded apart refuse each other.
func TestTwoClusters(t *testing.T) {
	a := &Map{Cluster: 1, Epoch: 1, Members: mems(1)}
	s := openTest(t, "", 0)
	n := New(Config{Name: entity.OSD(1), Addr: "v2:10.0.0.1:7000", Store: s, Logger: slog.New(slog.DiscardHandler)})
	defer n.Close()
	require.NoError(t, n.adopt(a))
	require.ErrorIs(t, n.adopt(&Map{Cluster: 2, Epoch: 9, Members: mems(2)}), errForeign)
	require.ErrorIs(t, n.saw(hello{Member: mem(2, 20), Cluster: 2, Epoch: 9}), errForeign)
	require.NoError(t, n.saw(hello{Member: mem(3, 30)}))
	// A name that somebody alive has is not given to another.
	other := mem(3, 31)
	other.Addr = "v2:10.9.9.9:7000"
	require.ErrorIs(t, n.saw(hello{Member: other}), errTaken)
	require.NoError(t, n.saw(hello{Member: mem(3, 31)}), "the same place, so the old one is gone")
	require.ErrorIs(t, n.saw(hello{Member: mem(1, 99)}), errTaken)
	for _, typ := range []uint16{typeHello, typeMap, typePrepare, typeAccept, typeRead, typeStore, typeScan, typeFetch,
		typeGet, typePut, typeList, 0xE23F} {
		b, err := n.Handle(t.Context(), typ, []byte("nonsense that is no request"))
		if err == nil { // it has its own way to say so
			require.NotEqual(t, byte(answerOK), b[0], "%#x", typ)
		}
	}
}
