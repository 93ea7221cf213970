package node

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
)

// diskLog is a file that grows by batches of records, each of which is on disk before the
// next is begun:
//
//	"msgrlog1" | batch ...        batch: u32 length | u32 crc32c | records
//	                              record: u32 length | u8 kind | payload
//
// A process or machine that dies while it writes leaves a bad batch at the end, which
// nobody was told of: it is cut off. A bad batch anywhere else is damage, and an error.
type diskLog struct {
	dir  string
	file *os.File
	lock *os.File

	mu      sync.Mutex
	idle    sync.Cond
	pending []byte // records that are not being written yet
	end     int64  // of what was added, counted from the opening; what wait is given
	safe    int64  // of what is on disk
	writing bool
	err     error // sticky
}

const logMagic = "msgrlog1"

// batchMax bounds a batch, as it is read: a length above it is damage.
const batchMax = 1 << 30

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// openLog opens the log of a folder, which it makes, and hands its records to replay.
// Another process that has it open is an error.
func openLog(dir string, logger *slog.Logger, replay func(kind byte, b []byte) error) (*diskLog, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := lockFile(lock); err != nil {
		_ = lock.Close()
		return nil, fmt.Errorf("%s is in use by another process: %w", dir, err)
	}
	l := &diskLog{dir: dir, lock: lock}
	l.idle.L = &l.mu
	if err := l.load(logger, replay); err != nil {
		_ = lock.Close()
		return nil, fmt.Errorf("%s: %w; with the folder moved away the node comes back as another, "+
			"and gets its copies from the others", l.path(), err)
	}
	return l, nil
}

func (l *diskLog) path() string { return filepath.Join(l.dir, "log") }

// load reads what is there.
func (l *diskLog) load(logger *slog.Logger, replay func(kind byte, b []byte) error) error {
	f, err := os.OpenFile(l.path(), os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	b, err := os.ReadFile(l.path())
	if err != nil {
		_ = f.Close()
		return err
	}
	good, err := readLog(b, replay)
	if err != nil {
		_ = f.Close()
		return err
	}
	if good < len(b) {
		logger.Warn("node: the log ends in the middle of a write, which nobody was told of; it is cut off there",
			"file", l.path(), "at", good, "of", len(b))
		if err := errors.Join(f.Truncate(int64(good)), f.Sync()); err != nil {
			_ = f.Close()
			return err
		}
	}
	if _, err := f.Seek(int64(good), 0); err != nil {
		_ = f.Close()
		return err
	}
	l.file, l.end, l.safe = f, int64(good), int64(good)
	return nil
}

// readLog hands the records of a whole log to replay and returns how much of it is good.
func readLog(b []byte, replay func(kind byte, b []byte) error) (good int, err error) {
	if !bytes.HasPrefix(b, []byte(logMagic)) {
		return 0, errors.New("it is no log of a node, or of another version")
	}
	at := len(logMagic)
	for at < len(b) {
		rest := b[at:]
		n := uint32(0)
		if len(rest) >= 8 {
			n = binary.LittleEndian.Uint32(rest)
		}
		whole := len(rest) >= 8 && n > 0 && n <= batchMax && uint64(n)+8 <= uint64(len(rest))
		if !whole || crc32.Checksum(rest[8:8+n], castagnoli) != binary.LittleEndian.Uint32(rest[4:]) {
			last := len(rest) < 8 || uint64(n)+8 >= uint64(len(rest)) && n <= batchMax
			if last || len(bytes.Trim(rest, "\x00")) == 0 {
				return at, nil
			}
			return at, fmt.Errorf("it is damaged at byte %d of %d", at, len(b))
		}
		for r := (reader{b: rest[8 : 8+n]}); len(r.b) > 0; {
			x := r.bytes()
			if r.bad || len(x) == 0 {
				return at, fmt.Errorf("a batch at byte %d is not made of records", at)
			}
			if err := replay(x[0], x[1:]); err != nil {
				return at, fmt.Errorf("a record in the batch at byte %d: %w", at, err)
			}
		}
		at += 8 + int(n)
	}
	return at, nil
}

func appendRecord(b []byte, kind byte, payload []byte) []byte {
	b = binary.LittleEndian.AppendUint32(b, uint32(len(payload)+1))
	return append(append(b, kind), payload...)
}

func batch(records []byte) []byte {
	b := binary.LittleEndian.AppendUint32(make([]byte, 0, len(records)+8), uint32(len(records)))
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(records, castagnoli))
	return append(b, records...)
}

// add puts a record behind the others and returns what to wait for.
func (l *diskLog) add(kind byte, payload []byte) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pending = appendRecord(l.pending, kind, payload)
	l.end += int64(len(payload) + 5)
	return l.end
}

// wait returns when what was added until pos is on disk. Whoever finds nobody writing
// writes for all who wait. After an error nothing is written any more.
func (l *diskLog) wait(pos int64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.safe < pos && l.err == nil {
		if l.writing {
			l.idle.Wait()
			continue
		}
		records, end := l.pending, l.end
		l.pending, l.writing = nil, true
		l.mu.Unlock()
		_, err := l.file.Write(batch(records))
		if err == nil {
			err = l.file.Sync()
		}
		l.mu.Lock()
		l.writing = false
		if l.err = err; err == nil {
			l.safe = end
		}
		l.idle.Broadcast()
	}
	if l.safe >= pos {
		return nil
	}
	return fmt.Errorf("node: the log cannot be written: %w", l.err)
}

// rewrite replaces the log by another one. It is for the opening: nobody else uses it.
func (l *diskLog) rewrite(dir string, records func(add func(kind byte, b []byte))) error {
	tmp := l.path() + ".new"
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteString(logMagic)
	at := int64(len(logMagic))
	var pending []byte
	flush := func() {
		if len(pending) > 0 && err == nil {
			_, err = f.Write(batch(pending))
			at += int64(len(pending) + 8)
		}
		pending = pending[:0]
	}
	records(func(kind byte, b []byte) {
		if pending = appendRecord(pending, kind, b); len(pending) > 4<<20 {
			flush()
		}
	})
	flush()
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = os.Rename(tmp, l.path())
	}
	if err == nil {
		err = syncDir(dir)
	}
	if err != nil {
		_ = f.Close()
		return err
	}
	if l.file != nil {
		_ = l.file.Close() // it was read
	}
	l.file, l.end, l.safe = f, at, at
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// close closes the files; what nobody waited for may be lost.
func (l *diskLog) close() error {
	return errors.Join(l.file.Close(), l.lock.Close())
}
