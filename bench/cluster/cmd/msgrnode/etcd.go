package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/asyncmsgr/asyncmsgr/async/resolve/etcd"
	"github.com/asyncmsgr/asyncmsgr/bench/internal/command"
	"github.com/asyncmsgr/asyncmsgr/bench/node"
)

// openEtcd makes of etcd://HOST:PORT,.../PREFIX where a node learns of others, is announced,
// and has maps agreed.
func openEtcd(u *url.URL, logger *slog.Logger) (node.Source, error) {
	prefix := strings.TrimSuffix(u.Path, "/")
	if u.Host == "" || prefix == "" {
		return node.Source{}, command.Usage(errors.New(
			"--resolver etcd:// wants servers and a prefix: etcd://10.0.0.1:2379,10.0.0.2:2379/PREFIX"))
	}
	// etcd's client logs what this command logs itself.
	c, err := clientv3.New(clientv3.Config{Endpoints: strings.Split(u.Host, ","), DialTimeout: 5 * time.Second,
		DialKeepAliveTime: 2 * time.Second, DialKeepAliveTimeout: 2 * time.Second, Logger: zap.NewNop()})
	if err != nil {
		return node.Source{}, err
	}
	r, err := etcd.Open(etcd.Config{Client: c, Prefix: prefix, Logger: logger})
	if err != nil {
		return node.Source{}, errors.Join(err, c.Close())
	}
	a := agreement{c, prefix + "/map"}
	return node.Source{Resolver: r, Announce: r.Announce, Agreement: a, Watch: a.watch,
		Close: func() error { return errors.Join(r.Close(), c.Close()) }}, nil
}

// agreement has etcd decide which map follows: the key is written if it is as it was, and
// the epoch is the revision of that.
type agreement struct {
	c   *clientv3.Client
	key string
}

// askMax bounds one question to etcd.
const askMax = 2 * time.Second

// Propose implements node.Agreement. An answer that is lost does no harm: the next proposal
// does not find what it follows, and is told what is there.
func (a agreement) Propose(ctx context.Context, _ *node.Node, base, next *node.Map) (*node.Map, error) {
	ctx, cancel := context.WithTimeout(ctx, askMax)
	defer cancel()
	revision := int64(0) // of a key that is not there
	if base != nil {
		revision = int64(base.Epoch)
	}
	text, err := json.Marshal(next)
	if err != nil {
		return nil, err
	}
	got, err := a.c.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(a.key), "=", revision)).
		Then(clientv3.OpPut(a.key, string(text))).Else(clientv3.OpGet(a.key)).Commit()
	switch {
	case err != nil:
		return nil, err
	case got.Succeeded:
		return node.ParseMap(text, uint64(got.Header.Revision))
	}
	kvs := got.Responses[0].GetResponseRange().Kvs
	if len(kvs) == 0 {
		return nil, fmt.Errorf("etcd has no map under %s, though there was one of revision %d", a.key, revision)
	}
	if kvs[0].ModRevision < revision {
		return nil, fmt.Errorf("etcd has the map of revision %d under %s, older than %d: "+
			"it was restored from a backup, perhaps", kvs[0].ModRevision, a.key, revision)
	}
	return node.ParseMap(kvs[0].Value, uint64(kvs[0].ModRevision))
}

// watch hands on the map that is there, and each that follows, until ctx ends.
func (a agreement) watch(ctx context.Context, have func(*node.Map)) error {
	for ctx.Err() == nil {
		revision := int64(0)
		once, cancel := context.WithTimeout(ctx, askMax)
		got, err := a.c.Get(once, a.key)
		cancel()
		if err == nil {
			revision = got.Header.Revision
			for _, kv := range got.Kvs {
				if m, err := node.ParseMap(kv.Value, uint64(kv.ModRevision)); err == nil {
					have(m)
				}
			}
			for w := range a.c.Watch(clientv3.WithRequireLeader(ctx), a.key, clientv3.WithRev(revision+1)) {
				for _, e := range w.Events {
					if m, err := node.ParseMap(e.Kv.Value, uint64(e.Kv.ModRevision)); err == nil {
						have(m)
					}
				}
			}
		}
		select {
		case <-time.After(time.Second): // etcd is away; the members tell each other, too
		case <-ctx.Done():
		}
	}
	return ctx.Err()
}
