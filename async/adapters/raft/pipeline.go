package raftmsgr

import (
	"context"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/adapters/peer"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/async/rpc"
	"github.com/hashicorp/raft"
)

// pipeline is a raft.AppendPipeline. Its goroutine hands the answers on in order.
type pipeline struct {
	t      *Transport
	c      msg.Connection
	reach  context.Context // ends with the pipeline
	cancel context.CancelFunc
	out    chan *future
	done   chan raft.AppendFuture
}

// AppendEntriesPipeline implements raft.Transport.
func (t *Transport) AppendEntriesPipeline(_ raft.ServerID, to raft.ServerAddress) (raft.AppendPipeline, error) {
	c, reach, cancel, err := t.peers.Connect(t.ctx, string(to))
	if err != nil {
		return nil, err
	}
	// With channels that hold none there are two under way: the one that deliver waits for,
	// and one that was sent and waits to be that.
	n := t.o.MaxInFlight - 2
	p := &pipeline{t, c, reach, cancel, make(chan *future, n), make(chan raft.AppendFuture, n)}
	t.work.Go(p.deliver)
	return p, nil
}

// AppendEntries implements raft.AppendPipeline.
func (p *pipeline) AppendEntries(args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) (
	raft.AppendFuture, error) {
	f := &future{start: time.Now(), args: args, resp: resp, ended: make(chan struct{})}
	appendEntries.Go(p.reach, p.t.o.Node, p.c, args, func(r *raft.AppendEntriesResponse, err error) {
		if f.err = peer.Why(p.reach, err); err == nil {
			*resp = *r
		}
		close(f.ended)
	}, rpc.Timeout(p.t.o.Timeout))
	select {
	case p.out <- f:
		return f, nil
	case <-p.reach.Done():
		return nil, raft.ErrPipelineShutdown
	}
}

// Consumer implements raft.AppendPipeline.
func (p *pipeline) Consumer() <-chan raft.AppendFuture { return p.done }

// Close implements raft.AppendPipeline.
func (p *pipeline) Close() error {
	p.cancel()
	return nil
}

func (p *pipeline) deliver() {
	defer p.cancel()
	for {
		select {
		case f := <-p.out:
			<-f.ended // it does, by its timeout at the latest
			select {
			case p.done <- f:
				continue
			case <-p.reach.Done():
			}
		case <-p.reach.Done():
		}
		return
	}
}

// future is a raft.AppendFuture.
type future struct {
	start time.Time
	args  *raft.AppendEntriesRequest
	resp  *raft.AppendEntriesResponse
	ended chan struct{}
	err   error // when ended is closed
}

// Error implements raft.Future.
func (f *future) Error() error {
	<-f.ended
	return f.err
}

// Start implements raft.AppendFuture.
func (f *future) Start() time.Time { return f.start }

// Request implements raft.AppendFuture.
func (f *future) Request() *raft.AppendEntriesRequest { return f.args }

// Response implements raft.AppendFuture.
func (f *future) Response() *raft.AppendEntriesResponse { return f.resp }
