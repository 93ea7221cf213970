package resolve

import (
	"context"
	"fmt"
	"sync"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
)

// Resolver says where entities are. Its methods may be called by any goroutine; both may
// wait, and must not be called by what runs on a worker.
type Resolver interface {
	// Resolve returns where name is. It waits for the first map, until ctx ends (ErrNoMap,
	// and ctx's error). Errors: ErrUnknown, ErrStale, ErrClosed.
	Resolve(ctx context.Context, name entity.Name) (Entry, error)
	// Watch calls f with the map that is known, and with each newer one, on the calling
	// goroutine and with rising epochs; maps that follow each other while f runs are skipped
	// but the last. It returns when ctx ends, with its error, or with ErrClosed.
	Watch(ctx context.Context, f func(*Map)) error
}

// Stats is what a Board, or a Follower, has counted.
type Stats struct {
	// Maps that became the current one; Old and Conflicts those that were ignored.
	Maps, Old, Conflicts uint64
	// Bad are answers of the source that were no map, Failed those that did not come: a
	// file that is gone, a lookup that failed.
	Bad, Failed uint64
	// Moved are connections that a Follower marked down for another address, Misnamed
	// those that led to another entity than the one of that name.
	Moved, Misnamed uint64
}

// Board has the current map of a source and tells who watches. It is what resolvers are
// made of. The zero value has no map. Any goroutine may call the methods.
type Board struct {
	mu     sync.Mutex
	cur    *Map
	closed bool
	news   chan struct{} // closed at the next change; nil while nobody waits
	why    error         // why there is no map, or no news
	stale  bool          // cur is not to be used any more
	stats  Stats
}

// Publish makes m the current map, if it is newer than that. The same map again is no
// error and no news. Errors: ErrOld, ErrConflict, ErrClosed.
func (b *Board) Publish(m *Map) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.closed:
		return ErrClosed
	case b.cur != nil && m.Epoch < b.cur.Epoch:
		b.stats.Old++
		return fmt.Errorf("%w: epoch %d, have %d", ErrOld, m.Epoch, b.cur.Epoch)
	case b.cur != nil && m.Epoch == b.cur.Epoch:
		if !m.same(b.cur) {
			b.stats.Conflicts++
			return fmt.Errorf("%w: epoch %d", ErrConflict, m.Epoch)
		}
		b.why, b.stale = nil, false
		return nil
	}
	b.cur, b.why, b.stale = m, nil, false
	b.stats.Maps++
	b.wakeLocked()
	return nil
}

// wakeLocked wakes who waits for news.
func (b *Board) wakeLocked() {
	if b.news != nil {
		close(b.news)
		b.news = nil
	}
}

// waitLocked is what is closed at the next change.
func (b *Board) waitLocked() <-chan struct{} {
	if b.news == nil {
		b.news = make(chan struct{})
	}
	return b.news
}

// Current is the current map, nil if there was none yet.
func (b *Board) Current() *Map {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.cur
}

// Stats is what was counted.
func (b *Board) Stats() Stats {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.stats
}

// count changes the counters.
func (b *Board) count(f func(*Stats)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f(&b.stats)
}

// Trouble notes why the source says nothing at the moment, for the errors of Resolve.
// stale: what it said before is not to be used any more. The next Publish ends it.
func (b *Board) Trouble(why error, stale bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.why, b.stale = why, stale
}

// Resolve implements Resolver.
func (b *Board) Resolve(ctx context.Context, name entity.Name) (Entry, error) {
	for {
		b.mu.Lock()
		cur, closed, why, stale, news := b.cur, b.closed, b.why, b.stale, (<-chan struct{})(nil)
		if cur == nil && !closed {
			news = b.waitLocked()
		}
		b.mu.Unlock()
		switch {
		case closed:
			return Entry{}, fmt.Errorf("%s: %w", name, ErrClosed)
		case stale && cur != nil:
			return Entry{}, fmt.Errorf("%s: %w: %w", name, ErrStale, why)
		case cur != nil:
			if a := cur.Lookup(name); a != nil {
				return Entry{name, a}, nil
			}
			return Entry{}, fmt.Errorf("%w: %s is not in the map of epoch %d", ErrUnknown, name, cur.Epoch)
		}
		select {
		case <-news:
		case <-ctx.Done():
			if why != nil {
				return Entry{}, fmt.Errorf("%s: %w: %w (%w)", name, ErrNoMap, ctx.Err(), why)
			}
			return Entry{}, fmt.Errorf("%s: %w: %w", name, ErrNoMap, ctx.Err())
		}
	}
}

// Watch implements Resolver.
func (b *Board) Watch(ctx context.Context, f func(*Map)) error {
	for last := (*Map)(nil); ; {
		b.mu.Lock()
		cur, closed, news := b.cur, b.closed, b.waitLocked()
		b.mu.Unlock()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case closed:
			return ErrClosed
		case cur != last:
			last = cur
			f(cur)
			continue
		}
		select {
		case <-news:
		case <-ctx.Done():
		}
	}
}

// Close ends what watches and resolves, with ErrClosed. It may be repeated.
func (b *Board) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	b.wakeLocked()
	return nil
}

// Static is a resolver whose maps the program sets: with Publish, or with Set.
type Static struct{ Board }

// NewStatic returns a resolver with a first map of epoch 1; without entries it has none
// yet. The errors are those of NewMap.
func NewStatic(entries ...Entry) (*Static, error) {
	s := new(Static)
	if len(entries) == 0 {
		return s, nil
	}
	return s, s.Set(entries...)
}

// Set publishes a map of these entries with the next epoch.
func (s *Static) Set(entries ...Entry) error {
	return publishNext(&s.Board, 0, entries)
}

// publishNext publishes entries as a map with that epoch, or, if it is 0, with the next
// one if they differ from the current map.
func publishNext(b *Board, epoch uint64, entries []Entry) error {
	cur := b.Current()
	counted := epoch == 0
	if counted {
		epoch = 1
		if cur != nil {
			epoch = cur.Epoch + 1
		}
	}
	m, err := NewMap(epoch, entries...)
	if err != nil {
		return err
	}
	if counted && cur != nil && m.same(cur) {
		m.Epoch = cur.Epoch
	}
	return b.Publish(m)
}
