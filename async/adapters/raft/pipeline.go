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
	to     raft.ServerAddress
	c      msg.Connection
	reach  context.Context // ends with the pipeline
	cancel context.CancelFunc
	out    chan *appendFuture
	done   chan raft.AppendFuture
}

// AppendEntriesPipeline implements raft.Transport.
func (t *Transport) AppendEntriesPipeline(_ raft.ServerID, to raft.ServerAddress) (raft.AppendPipeline, error) {
	c, reach, cancel, err := t.connect(to)
	if err != nil {
		return nil, err
	}
	// Two are under way with channels that hold none: one that is being answered, and one
	// that has been sent and waits to be that.
	p := &pipeline{
		t: t, to: to, c: c, reach: reach, cancel: cancel,
		out: make(chan *appendFuture, t.o.MaxInFlight-2), done: make(chan raft.AppendFuture, t.o.MaxInFlight-2),
	}
	t.mu.Lock()
	t.pipelines[p] = struct{}{}
	t.mu.Unlock()
	t.work.Go(p.deliver)
	return p, nil
}

// AppendEntries implements raft.AppendPipeline.
func (p *pipeline) AppendEntries(args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) (
	raft.AppendFuture, error) {
	body, err := encode(args)
	if err != nil {
		return nil, err
	}
	if p.reach.Err() != nil {
		return nil, raft.ErrPipelineShutdown
	}
	f := &appendFuture{start: time.Now(), args: args, resp: resp, ended: make(chan struct{})}
	p.t.o.Node.Go(p.reach, p.c, typeAppend, body, func(reply []byte, err error) {
		if f.err = peer.Why(p.reach, err); err == nil {
			f.err = decodeReply(reply, resp)
		}
		close(f.ended)
	}, rpc.Priority(p.t.priority(msg.PriorityDefault)), rpc.Timeout(p.t.o.Timeout), rpc.Give())
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
	defer func() {
		p.cancel()
		p.t.mu.Lock()
		delete(p.t.pipelines, p)
		p.t.mu.Unlock()
	}()
	for {
		select {
		case f := <-p.out:
			<-f.ended // it does, by its timeout at the latest
			select {
			case p.done <- f:
			case <-p.reach.Done():
				return
			}
		case <-p.reach.Done():
			return
		}
	}
}

// appendFuture is a raft.AppendFuture.
type appendFuture struct {
	start time.Time
	args  *raft.AppendEntriesRequest
	resp  *raft.AppendEntriesResponse
	ended chan struct{}
	err   error // when ended is closed
}

// Error implements raft.Future.
func (f *appendFuture) Error() error {
	<-f.ended
	return f.err
}

// Start implements raft.AppendFuture.
func (f *appendFuture) Start() time.Time { return f.start }

// Request implements raft.AppendFuture.
func (f *appendFuture) Request() *raft.AppendEntriesRequest { return f.args }

// Response implements raft.AppendFuture.
func (f *appendFuture) Response() *raft.AppendEntriesResponse { return f.resp }
