package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/async/resolve"
	"github.com/asyncmsgr/asyncmsgr/async/rpc"
)

// Owner is who the types of messages of the store are reserved for.
const Owner = "msgr node"

// Network is the Transport over a messenger. Nodes are of type OSD, and have lossless
// sessions with each other; clients are of type client and have lossy ones, so that a
// request ends when its connection breaks, and another node can be asked.
type Network struct {
	m      *async.Messenger
	rpc    *rpc.Node
	follow *resolve.Follower
	logger *slog.Logger
}

// NewNetwork makes the messenger's part of a node (listen is where) or, with listen nil, of
// a client. cfg has the name, the keys and the logger.
func NewNetwork(cfg async.Config, listen []netip.AddrPort) (*Network, error) {
	// Who is gone without a word is noticed within seconds, and called again within one.
	cfg.InitialBackoff, cfg.MaxBackoff = 100*time.Millisecond, time.Second
	cfg.DialTimeout, cfg.ReadyTimeout = 2*time.Second, 5*time.Second
	cfg.KeepaliveInterval, cfg.KeepaliveTimeout = time.Second, 2*time.Second
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	m, err := async.New(cfg)
	if err != nil {
		return nil, err
	}
	if len(listen) > 0 {
		m.SetDefaultPolicy(msg.StatelessServer())
		m.SetPolicy(entity.TypeOSD, msg.LosslessPeerReuse())
		if err := m.Bind(listen...); err != nil {
			return nil, err
		}
	} else {
		m.SetDefaultPolicy(msg.LossyClient())
	}
	r, err := rpc.New(m, rpc.Options{})
	if err != nil {
		return nil, err
	}
	if err := m.ReserveTypes(Owner, typeHello, typeHello+0x3F); err != nil {
		return nil, err
	}
	n := &Network{m: m, rpc: r, logger: cfg.Logger}
	n.follow = resolve.NewFollower(m, resolve.FollowConfig{Logger: cfg.Logger})
	return n, nil
}

// How many requests of a class are in work at a time. Those for others are not to wait for
// those of clients, which wait for them in turn; nor greetings for any.
const (
	greetingsMax = 16
	copiesMax    = 64
	pullsServed  = 8
)

// Serve has requests answered by n, which the caller closes before the network.
func (w *Network) Serve(n *Node) error {
	handler := func(ctx context.Context, r *rpc.Request) ([]byte, error) { return n.Handle(ctx, r.Type, r.Body) }
	for _, class := range []struct {
		width int
		types []uint16
	}{
		{greetingsMax, []uint16{typeHello, typeMap, typePrepare, typeAccept, typeStatus}},
		{copiesMax, []uint16{typeRead, typeStore}},
		{pullsServed, []uint16{typeScan, typeFetch}},
		{n.cfg.RequestsMax, []uint16{typeGet, typePut, typeList}},
	} {
		for _, t := range class.types {
			if err := w.rpc.HandleRaw(t, handler, rpc.Concurrent(class.width)); err != nil {
				return err
			}
		}
	}
	return nil
}

// Start lets connections in and out.
func (w *Network) Start() error { return w.m.Start() }

// Addr is where others reach this node, whichever process it is.
func (w *Network) Addr() string {
	v := w.m.Addrs().Clone()
	for i := range v {
		v[i] = v[i].WithAnyNonce()
	}
	return v.String()
}

// Call implements Transport.
func (w *Network) Call(ctx context.Context, addr string, typ uint16, low bool, req []byte) ([]byte, error) {
	v, err := entity.ParseAddrVec(addr)
	if err != nil {
		return nil, err
	}
	c, err := w.m.ConnectTo(entity.TypeOSD, v)
	if err != nil {
		return nil, err
	}
	prio := uint8(msg.PriorityDefault)
	switch {
	case low:
		prio = msg.PriorityLow
	case typ == typeHello, typ == typeMap, typ == typePrepare, typ == typeAccept:
		prio = msg.PriorityHigh
	}
	b, err := w.rpc.Call(ctx, c, typ, req, rpc.Priority(prio))
	if err != nil && ctx.Err() != nil && !c.IsConnected() {
		if last := c.LastError(); last != nil {
			err = fmt.Errorf("%w (%w)", err, last)
		}
	}
	return b, err
}

// Follow ends connections with where members were, when they are elsewhere.
func (w *Network) Follow(m *Map) {
	entries := make([]resolve.Entry, 0, len(m.Members))
	for _, x := range m.Members {
		if v, err := entity.ParseAddrVec(x.Addr); err == nil {
			entries = append(entries, resolve.Entry{Name: x.Name, Addrs: v})
		}
	}
	r, err := resolve.NewMap(m.Epoch, entries...)
	if err == nil {
		err = w.follow.Apply(r)
	}
	if err != nil {
		w.logger.Warn("node: the addresses of a map are not followed", "epoch", m.Epoch, "error", err)
	}
}

// Close ends the network: what was sent is given until ctx ends to arrive.
func (w *Network) Close(ctx context.Context) error {
	err := w.m.Drain(ctx)
	w.m.Wait()
	return err
}

// The bounds of looking up seeds.
const (
	lookupMax = time.Second
	seedsMax  = 64
)

// Lookup returns the addresses of nodes, given as HOST:PORT where HOST may be a name, in
// the form that Member has. What cannot be looked up is left out, and is the error.
func Lookup(ctx context.Context, hostports ...string) (addrs []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, lookupMax)
	defer cancel()
	for _, hp := range hostports {
		if v, e := entity.ParseAddrVec(hp); e == nil {
			addrs = append(addrs, v.String())
			continue
		}
		host, port, e := net.SplitHostPort(hp)
		if e == nil {
			var ips []netip.Addr
			if ips, e = net.DefaultResolver.LookupNetIP(ctx, "ip", host); e == nil {
				for _, ip := range ips {
					var at netip.AddrPort
					if at, e = netip.ParseAddrPort(net.JoinHostPort(ip.Unmap().String(), port)); e == nil &&
						len(addrs) < seedsMax {
						a := entity.Addr{Type: entity.AddrMsgr2, AnyNonce: true, AddrPort: at}
						addrs = append(addrs, a.String())
					}
				}
			}
		}
		if e != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w", hp, e))
		}
	}
	return addrs, err
}
