package session

import (
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/frame"
)

// What a worker keeps of each kind; the rest goes to the garbage collector.
const (
	outputsKept = 16      // a session has outputs only while it is being called
	outputsLen  = 1 << 10 // the longest list of them
	batchesKept = 64      // a connection has a batch only while its socket is full
)

// Buffers is memory that the sessions on one worker use in turn: an idle session holds
// none. It belongs to the worker, as its sessions do, and is shared with nobody: there is
// no lock, and what comes next does not depend on other goroutines. The zero value is
// ready. A nil Buffers allocates each time.
type Buffers struct {
	// Messages are those to receive into.
	Messages msg.Recycler
	outputs  []*outputs
	batches  []*frame.Batch
	blocks   frame.Blocks
}

// Batch returns an empty batch.
func (b *Buffers) Batch() *frame.Batch {
	switch {
	case b == nil:
		return new(frame.Batch)
	case len(b.batches) == 0:
		return &frame.Batch{Blocks: &b.blocks}
	}
	return pop(&b.batches)
}

// PutBatch gives a batch back, whatever is in it; it must not be used afterwards.
func (b *Buffers) PutBatch(x *frame.Batch) {
	if b != nil && len(b.batches) < batchesKept {
		x.Trim()
		b.batches = append(b.batches, x)
	}
}

func (b *Buffers) getOutputs() *outputs {
	if b == nil || len(b.outputs) == 0 {
		return new(outputs)
	}
	return pop(&b.outputs)
}

// putOutputs takes what is empty.
func (b *Buffers) putOutputs(x *outputs) {
	if b != nil && len(b.outputs) < outputsKept && cap(x.list) <= outputsLen {
		x.list, x.head = x.list[:0], 0
		b.outputs = append(b.outputs, x)
	}
}

func (b *Buffers) messages() *msg.Recycler {
	if b == nil {
		return nil
	}
	return &b.Messages
}

func pop[T any](list *[]*T) *T {
	last := len(*list) - 1
	x := (*list)[last]
	(*list)[last] = nil
	*list = (*list)[:last]
	return x
}
