package etcd

import (
	"context"
	"fmt"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/resolve"
)

// TakenError is a name that another process has announced, at other addresses.
type TakenError struct {
	Name entity.Name
	At   string
}

// Error is one line.
func (e *TakenError) Error() string {
	return fmt.Sprintf("etcd: %s is announced by another process, at %s", e.Name, e.At)
}

// Announce makes known that name is at addrs, until ctx ends: then the name is taken away,
// and ctx's error returned. While etcd is away, or another process has the name, it goes on
// trying, and says so once in the log; a process that was killed has its name for the rest
// of its TTL, unless who comes has the same addresses. Other errors: addrs that make no map.
//
// It keeps the calling goroutine.
func (r *Resolver) Announce(ctx context.Context, name entity.Name, addrs entity.AddrVec) error {
	if _, err := resolve.NewMap(1, resolve.Entry{Name: name, Addrs: addrs}); err != nil {
		return err
	}
	said := ""
	for ctx.Err() == nil {
		lease, err := r.announce(ctx, name, addrs)
		if err == nil {
			said = ""
			err = r.keep(ctx, lease)
		}
		if s := err.Error(); s != said && ctx.Err() == nil {
			said = s
			r.cfg.Logger.Warn("etcd: the name is not announced; it is tried again", "name", name, "error", err)
		}
		wait(ctx, retryAfter)
	}
	return ctx.Err()
}

// announce puts the key there under a lease of its own.
func (r *Resolver) announce(ctx context.Context, name entity.Name, addrs entity.AddrVec) (clientv3.LeaseID, error) {
	ctx, cancel := context.WithTimeout(ctx, askMax)
	defer cancel()
	c, k, v := r.cfg.Client, r.names()+name.String(), addrs.String()
	lease, err := c.Grant(ctx, int64(r.cfg.TTL/time.Second))
	if err != nil {
		return 0, err
	}
	put := clientv3.OpPut(k, v, clientv3.WithLease(lease.ID))
	got, err := c.Txn(ctx).If(clientv3.Compare(clientv3.CreateRevision(k), "=", 0)).Then(put).
		Else(clientv3.OpTxn([]clientv3.Cmp{clientv3.Compare(clientv3.Value(k), "=", v)},
			[]clientv3.Op{put}, []clientv3.Op{clientv3.OpGet(k)})).Commit()
	if err == nil && !got.Succeeded {
		if in := got.Responses[0].GetResponseTxn(); !in.Succeeded {
			err = &TakenError{Name: name}
			if kvs := in.Responses[0].GetResponseRange().Kvs; len(kvs) > 0 {
				err = &TakenError{name, string(kvs[0].Value)}
			}
		}
	}
	if err != nil {
		r.revoke(lease.ID)
		return 0, err
	}
	return lease.ID, nil
}

// keep keeps a lease until ctx ends, or it is lost.
func (r *Resolver) keep(ctx context.Context, lease clientv3.LeaseID) error {
	defer r.revoke(lease)
	alive, cancel := context.WithCancel(ctx)
	defer cancel()
	answers, err := r.cfg.Client.KeepAlive(alive, lease)
	if err != nil {
		return err
	}
	for range answers {
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("etcd: the lease ran out: nobody answered for %v, or it was revoked", r.cfg.TTL)
}

// revoke ends a lease, and with it the key; if etcd is away, time does.
func (r *Resolver) revoke(lease clientv3.LeaseID) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_, _ = r.cfg.Client.Revoke(ctx, lease)
}
