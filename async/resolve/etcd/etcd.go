// Package etcd is a resolver whose names and addresses are in etcd (v3). It is a module of
// its own: who does not use it does not build etcd's client.
//
// Below a prefix there is a key for each name, prefix/names/osd.1, with its addresses as
// entity.AddrVec writes them. [Resolver.Announce] puts it there under a lease, so that it goes
// when the process does: a name that is there was alive within the last TTL. The epoch of a
// map is etcd's revision at that moment: of two processes that have the same epoch, both
// have the same map.
//
// While etcd is away, the last map stays in force, and leases do not run out; it is logged
// once. If etcd comes back with lower revisions, restored from a backup for example, its
// maps are old and ignored (Stats.Old) until they have passed what was known.
package etcd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/resolve"
)

// The bounds of Config.TTL.
const (
	TTLMin = time.Second
	TTLMax = time.Hour
)

// Config configures Open; Client and Prefix are needed.
type Config struct {
	// Client is the connection with etcd. It stays the caller's, who closes it after the
	// Resolver.
	Client *clientv3.Client
	// Prefix is of all keys, without a slash at its end: "/cluster7".
	Prefix string
	// TTL is how long a name that Announce made known stays when its process does not ask
	// for more, in whole seconds; 0 means 5 s. TTLMin to TTLMax. A process that stands still
	// for longer is gone for the others.
	TTL time.Duration
	// Logger; nil means slog.Default().
	Logger *slog.Logger
}

// Resolver knows the names below a prefix. One goroutine watches, until Close.
type Resolver struct {
	resolve.Board
	cfg  Config
	stop context.CancelFunc
	done chan struct{}

	// The rest is the watching goroutine's.
	entries map[string]resolve.Entry // by key
	said    string
}

// Open begins to watch. An error means that cfg makes no sense; etcd may be away.
func Open(cfg Config) (*Resolver, error) {
	cfg.TTL = cmp.Or(cfg.TTL, 5*time.Second)
	cfg.Logger = cmp.Or(cfg.Logger, slog.Default())
	cfg.Prefix = strings.TrimSuffix(cfg.Prefix, "/")
	switch {
	case cfg.Client == nil:
		return nil, errors.New("etcd: Config.Client is nil")
	case cfg.Prefix == "":
		return nil, errors.New("etcd: Config.Prefix is empty")
	case cfg.TTL < TTLMin || cfg.TTL > TTLMax:
		return nil, fmt.Errorf("etcd: Config.TTL %v is not from %v to %v", cfg.TTL, TTLMin, TTLMax)
	}
	ctx, stop := context.WithCancel(context.Background())
	r := &Resolver{cfg: cfg, stop: stop, done: make(chan struct{})}
	go r.run(ctx)
	return r, nil
}

// Close stops watching and ends what watches and resolves here. It may be repeated.
func (r *Resolver) Close() error {
	r.stop()
	<-r.done
	return r.Board.Close()
}

func (r *Resolver) names() string { return r.cfg.Prefix + "/names/" }

// askMax bounds one question to etcd, retryAfter is until the next one after it failed.
const (
	askMax     = 5 * time.Second
	retryAfter = 500 * time.Millisecond
)

func (r *Resolver) run(ctx context.Context) {
	defer close(r.done)
	for ctx.Err() == nil {
		revision, err := r.read(ctx)
		if err == nil {
			err = r.watch(ctx, revision+1)
		}
		if ctx.Err() == nil {
			r.trouble(err)
			wait(ctx, retryAfter)
		}
	}
}

func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// trouble says once what is wrong, until it is over.
func (r *Resolver) trouble(err error) {
	if err == nil {
		if r.said != "" {
			r.cfg.Logger.Info("etcd: it answers again", "prefix", r.cfg.Prefix)
		}
		r.said = ""
		return
	}
	r.Trouble(err, false)
	if s := err.Error(); s != r.said {
		r.said = s
		r.cfg.Logger.Warn("etcd: no news of names; the last map stays in force", "prefix", r.cfg.Prefix, "error", err)
	}
}

// read takes all that is there, at one revision.
func (r *Resolver) read(ctx context.Context) (revision int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, askMax)
	defer cancel()
	// Serializable would do, but for a member that is cut off and has old news.
	got, err := r.cfg.Client.Get(ctx, r.names(), clientv3.WithPrefix(), clientv3.WithLimit(resolve.EntriesMax+1))
	if err != nil {
		return 0, err
	}
	r.entries = map[string]resolve.Entry{}
	for _, kv := range got.Kvs {
		r.set(string(kv.Key), string(kv.Value))
	}
	r.trouble(nil)
	r.publish(got.Header.Revision)
	return got.Header.Revision, nil
}

// set takes what a key says; what cannot be read is left out and logged.
func (r *Resolver) set(k, v string) {
	name, err := entity.ParseName(strings.TrimPrefix(k, r.names()))
	var addrs entity.AddrVec
	if err == nil {
		addrs, err = entity.ParseAddrVec(v)
	}
	if err != nil {
		delete(r.entries, k)
		r.cfg.Logger.Warn("etcd: a key is left out", "key", k, "value", v, "error", err)
		return
	}
	r.entries[k] = resolve.Entry{Name: name, Addrs: addrs}
}

// publish makes what is known the map of that revision.
func (r *Resolver) publish(revision int64) {
	entries := make([]resolve.Entry, 0, len(r.entries))
	for _, e := range r.entries {
		entries = append(entries, e)
	}
	m, err := resolve.NewMap(uint64(revision), entries...)
	if err == nil {
		err = r.Publish(m)
	}
	if err != nil {
		r.cfg.Logger.Warn("etcd: a map is not taken; the last one stays in force", "prefix", r.cfg.Prefix,
			"revision", revision, "error", err)
	}
}

// watch takes changes from a revision on, until there are none to be had any more.
func (r *Resolver) watch(ctx context.Context, from int64) error {
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel()
	for w := range r.cfg.Client.Watch(ctx, r.names(), clientv3.WithPrefix(), clientv3.WithRev(from)) {
		if err := w.Err(); err != nil {
			return err // compacted for example: it is read anew
		}
		for _, e := range w.Events {
			if e.Type == clientv3.EventTypeDelete {
				delete(r.entries, string(e.Kv.Key))
			} else {
				r.set(string(e.Kv.Key), string(e.Kv.Value))
			}
		}
		if len(w.Events) > 0 {
			r.publish(w.Header.Revision)
		}
	}
	return errors.New("the watch has ended")
}
