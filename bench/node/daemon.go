package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/admin"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/live"
	"github.com/asyncmsgr/asyncmsgr/async/resolve"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
)

// Source is where a node learns of the others, besides from them; all fields may be nil.
type Source struct {
	// Resolver knows nodes that may be asked for the map.
	Resolver resolve.Resolver
	// Announce makes known where the node is, until ctx ends.
	Announce func(ctx context.Context, name entity.Name, addrs entity.AddrVec) error
	// Agreement decides which map follows; nil: the members do.
	Agreement Agreement
	// Watch hands on maps that were agreed, until ctx ends.
	Watch func(ctx context.Context, have func(*Map)) error
	// Close ends it all.
	Close func() error
}

// DaemonConfig configures Run.
type DaemonConfig struct {
	Name entity.Name
	// Listen is where; Advertise, if set, by what others reach it.
	Listen    netip.AddrPort
	Advertise netip.AddrPort
	// Join are HOST:PORT of other nodes, Initial those that found the cluster.
	Join    []string
	Initial []entity.Name
	Source  Source
	// Data is the folder of the log; empty: memory alone. MaxBytes bounds the objects.
	Data     string
	MaxBytes int64
	// Grace is how long leaving may take; with Stay it ends without leaving.
	Grace time.Duration
	Stay  bool
	// DownAfter is that of Config.
	DownAfter time.Duration
	// AuthClient and AuthServer, nil: nothing is proved.
	AuthClient auth.Client
	AuthServer auth.Server
	Logger     *slog.Logger
	// Admin, if set, is the path of an admin socket (async/admin), through which LogLevel, if
	// set, can be changed.
	Admin    string
	LogLevel *slog.LevelVar
	// Page, if set, is where the live page of the node's messenger (async/live) is served; Run closes
	// it. PageHosts are live.Config.Hosts.
	Page      net.Listener
	PageHosts []string
	// Began, if set, is called when the node listens.
	Began func(addr string)
}

// Run is a node as a process: until ctx ends, and then until it has left, or Grace is over.
func Run(ctx context.Context, cfg DaemonConfig) (err error) {
	if cfg.Page != nil {
		defer cfg.Page.Close()
	}
	store, err := OpenStore(cfg.Data, rand.Uint64()|1, cfg.MaxBytes, cfg.Logger)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	mcfg := async.Config{Name: cfg.Name, Logger: cfg.Logger, AuthClient: cfg.AuthClient, AuthServer: cfg.AuthServer}
	if cfg.Advertise.IsValid() {
		mcfg.Advertise = []netip.AddrPort{cfg.Advertise}
	}
	network, err := NewNetwork(mcfg, []netip.AddrPort{cfg.Listen})
	if err != nil {
		return err
	}
	if cfg.Admin != "" {
		a, err := admin.Listen(admin.Config{Path: cfg.Admin, Messengers: []*async.Messenger{network.m},
			Version: "node", Level: cfg.LogLevel, Logger: cfg.Logger})
		if err != nil {
			limited, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			return errors.Join(err, network.Close(limited))
		}
		defer func() { err = errors.Join(err, a.Close()) }()
	}
	if cfg.Page != nil {
		page, err := live.Serve(cfg.Page, live.Config{Title: cfg.Name.String(), Hosts: cfg.PageHosts,
			Messengers: func() []*async.Messenger { return []*async.Messenger{network.m} }})
		if err != nil {
			panic(err) // of a configuration that is right
		}
		defer page.Close()
	}
	closing, closed := context.WithCancel(context.Background())
	defer func() {
		limited, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = network.Close(limited) // peers may be gone; what mattered was answered
	}()
	var wg sync.WaitGroup
	defer wg.Wait()
	defer closed()

	seeds := new(seedBook)
	n := New(Config{Name: cfg.Name, Addr: network.Addr(), Initial: cfg.Initial, Store: store, Transport: network,
		Agreement: cfg.Source.Agreement, Logger: cfg.Logger, OnMap: network.Follow, DownAfter: cfg.DownAfter,
		Seeds: func() []string { return seeds.all(closing, cfg.Join, cfg.Logger) }})
	if err := network.Serve(n); err != nil {
		return err
	}
	if err := network.Start(); err != nil {
		return err
	}
	if m := n.Map(); m != nil {
		network.Follow(m)
	}
	n.Start()
	defer n.Close()
	if cfg.Source.Resolver != nil {
		wg.Go(func() { _ = cfg.Source.Resolver.Watch(closing, seeds.set) }) // it ends with closing
	}
	if cfg.Source.Watch != nil {
		wg.Go(func() { _ = cfg.Source.Watch(closing, func(m *Map) { _ = n.adopt(m) }) }) // n reports
	}
	if cfg.Source.Announce != nil {
		addrs, err := entity.ParseAddrVec(network.Addr())
		if err != nil {
			return err
		}
		wg.Go(func() {
			if err := cfg.Source.Announce(closing, cfg.Name, addrs); err != nil && closing.Err() == nil {
				cfg.Logger.Error("node: not announced any more", "error", err)
			}
		})
	}
	if cfg.Began != nil {
		cfg.Began(network.Addr())
	}
	select {
	case <-n.Done():
		return n.Failed()
	case <-ctx.Done():
	}
	if cfg.Stay {
		cfg.Logger.Info("node: it ends without leaving, as it was told", "node", cfg.Name)
		return nil
	}
	limited, cancel := context.WithTimeout(context.Background(), cfg.Grace)
	defer cancel()
	switch err := n.Leave(limited); {
	case errors.Is(err, ErrLast):
		cfg.Logger.Warn("node: it ends without leaving: too few would remain", "members", len(n.Map().Members))
	case err != nil:
		return fmt.Errorf("leaving was not over in time, and others may have too few copies until this node "+
			"comes back: %w", err)
	default:
		cfg.Logger.Info("node: it has left, and others have what it had", "node", cfg.Name)
	}
	return nil
}

// seedBook are the addresses of nodes to ask, as a resolver and as names that are looked up
// have them.
type seedBook struct {
	mu    sync.Mutex
	known []string
	said  string
}

// set takes what a resolver says.
func (b *seedBook) set(m *resolve.Map) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.known = nil
	for _, e := range m.Entries {
		if len(b.known) < seedsMax {
			b.known = append(b.known, e.Addrs.String())
		}
	}
}

// all are those of the resolver and those of names, which are looked up each time.
func (b *seedBook) all(ctx context.Context, names []string, logger *slog.Logger) []string {
	addrs, err := Lookup(ctx, names...)
	b.mu.Lock()
	defer b.mu.Unlock()
	text := ""
	if err != nil && ctx.Err() == nil {
		text = err.Error()
	}
	if text != b.said && text != "" {
		logger.Warn("node: addresses of others cannot be looked up", "error", text)
	}
	b.said = text
	return append(addrs, b.known...)
}
