package node

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
)

// bucketCount is in how many parts the keys are divided, by a hash, for those who go
// through all of them.
const bucketCount = 1024

// Store has a node's objects in memory and, with a folder, in a log on disk: then what it
// has answered for survives the process. Any goroutine may call the methods.
type Store struct {
	log *diskLog // nil: memory alone
	inc uint64
	max int64

	mu      sync.Mutex
	buckets [bucketCount]map[string]stored
	bytes   int64
	count   int
	acc     acceptance
	last    *Map // as it was saved
}

// stored is an object and where in the log it ends; it must not be told of before it is
// there.
type stored struct {
	Object
	pos int64
}

// The kinds of records in the log.
const (
	recordLife   = 1 // u64: Inc
	recordObject = 2
	recordMap    = 3 // JSON
	recordAccept = 4 // JSON
)

// OpenStore opens a store; dir empty: in memory alone, and a life of its own. life is drawn
// for a new one. maxBytes bounds the objects, with about 128 bytes for each; 0 means 1 GiB.
func OpenStore(dir string, life uint64, maxBytes int64, logger *slog.Logger) (*Store, error) {
	s := &Store{inc: life, max: maxBytes}
	if s.max == 0 {
		s.max = 1 << 30
	}
	for i := range s.buckets {
		s.buckets[i] = map[string]stored{}
	}
	if dir == "" {
		return s, nil
	}
	l, err := openLog(dir, logger, s.replay)
	if err != nil {
		return nil, err
	}
	s.log = l
	if err := s.compact(dir); err != nil {
		_ = l.close()
		return nil, err
	}
	return s, nil
}

// compact writes the log anew if it is new, or half of it is of no use.
func (s *Store) compact(dir string) error {
	if s.log.end > 0 && s.log.end <= 2*s.bytes+1<<20 {
		return nil
	}
	return s.log.rewrite(dir, func(add func(kind byte, b []byte)) {
		add(recordLife, appendU64(nil, s.inc))
		if s.last != nil {
			add(recordMap, s.last.encode())
		}
		add(recordAccept, s.acc.encode())
		for _, b := range s.buckets {
			for _, x := range b {
				add(recordObject, appendObject(nil, x.Object))
			}
		}
	})
}

// replay takes a record of the log.
func (s *Store) replay(kind byte, b []byte) error {
	switch kind {
	case recordLife:
		r := reader{b: b}
		s.inc = r.u64()
		return r.end()
	case recordObject:
		r := reader{b: b}
		o := r.object()
		if err := r.end(); err != nil {
			return err
		}
		s.put(o, 0)
		return nil
	case recordMap:
		m, err := decodeMap(b)
		if err == nil {
			s.last = m
		}
		return err
	case recordAccept:
		return json.Unmarshal(b, &s.acc)
	}
	return fmt.Errorf("a record of kind %d, which this version does not know", kind)
}

func bucketOf(k string) int { return int(hashOf(k) % bucketCount) }

// put puts o in if it is newer than what is there, without regard to bounds.
func (s *Store) put(o Object, pos int64) bool {
	b := s.buckets[bucketOf(o.Key)]
	was, ok := b[o.Key]
	if ok && was.Version.Compare(o.Version) >= 0 {
		return false
	}
	if ok {
		s.bytes -= was.size()
		s.count--
	}
	b[o.Key] = stored{o, pos}
	s.bytes += o.size()
	s.count++
	return true
}

// Put puts o in unless what is there is as new, and returns a wait for its being safe.
// The error is ErrFull. Afterwards o.Value is the store's.
func (s *Store) Put(o Object) (safe func() error, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	was, ok := s.buckets[bucketOf(o.Key)][o.Key]
	if ok && was.Version.Compare(o.Version) >= 0 {
		return s.safe(was.pos), nil
	}
	if s.bytes+o.size() > s.max && !o.Deleted {
		return nil, fmt.Errorf("%w: %d of %d bytes are taken", ErrFull, s.bytes, s.max)
	}
	var pos int64
	if s.log != nil {
		pos = s.log.add(recordObject, appendObject(nil, o))
	}
	s.put(o, pos)
	return s.safe(pos), nil
}

// safe is a wait for the log.
func (s *Store) safe(pos int64) func() error {
	if s.log == nil || pos == 0 {
		return func() error { return nil }
	}
	return func() error { return s.log.wait(pos) }
}

// Get returns an object, with the zero Version if there is none, and a wait for its being
// safe, before which it must not be told to anybody.
func (s *Store) Get(k string) (Object, func() error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x, ok := s.buckets[bucketOf(k)][k]
	if !ok {
		return Object{Key: k}, s.safe(0)
	}
	return x.Object, s.safe(x.pos)
}

// meta is an object without its value.
type meta struct {
	Key     string
	Version Version
	Deleted bool
}

// Scan returns what keep accepts of the buckets from first on, until there are about limit
// bytes of keys, and the bucket to go on with: bucketCount at the end.
func (s *Store) Scan(first, limit int, keep func(k string) bool) (metas []meta, next int, safe func() error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	pos, size := int64(0), 0
	for next = first; next < bucketCount && size < limit; next++ {
		for k, x := range s.buckets[next] {
			if keep(k) {
				metas = append(metas, meta{k, x.Version, x.Deleted})
				size += len(k) + 32
				pos = max(pos, x.pos)
			}
		}
	}
	return metas, next, s.safe(pos)
}

// Drop forgets the objects of a bucket that keep does not accept. On disk they go with the
// next compaction.
func (s *Store) Drop(bucket int, keep func(k string) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, x := range s.buckets[bucket] {
		if !keep(k) {
			delete(s.buckets[bucket], k)
			s.bytes -= x.size()
			s.count--
		}
	}
}

// Size is how many objects there are, and how many bytes they take.
func (s *Store) Size() (objects int, bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count, s.bytes
}

// saveMap returns when m is safe.
func (s *Store) saveMap(m *Map) error {
	s.mu.Lock()
	s.last = m
	var pos int64
	if s.log != nil {
		pos = s.log.add(recordMap, m.encode())
	}
	s.mu.Unlock()
	return s.safe(pos)()
}

// saveAcceptance returns when a is safe.
func (s *Store) saveAcceptance(a acceptance) error {
	s.mu.Lock()
	s.acc = a
	var pos int64
	if s.log != nil {
		pos = s.log.add(recordAccept, a.encode())
	}
	s.mu.Unlock()
	return s.safe(pos)()
}

// Close closes the log.
func (s *Store) Close() error {
	if s.log == nil {
		return nil
	}
	return s.log.close()
}
