package resolve

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"time"
)

// The bounds of FileConfig.
const (
	FileIntervalMin = 50 * time.Millisecond
	FileIntervalMax = time.Hour
	FileSizeMax     = 16 << 20
)

// fileSettle is how long after its last change a file may still change without another
// time of change or size: file systems count in coarse steps. Until then it is read.
const fileSettle = 2 * time.Second

// FileConfig configures OpenFile; the zero value works.
type FileConfig struct {
	// Interval is how often the file is looked at; 0 means 1 s. FileIntervalMin to
	// FileIntervalMax.
	Interval time.Duration
	// SizeMax is how large the file may be in bytes; 0 means 1 MiB, at most FileSizeMax. A
	// larger one is a bad file.
	SizeMax int64
	// Logger; nil means slog.Default(): what is wrong with the file is said there, once
	// until that changes.
	Logger *slog.Logger
}

// File is a resolver that reads its map from a file, see ParseMap for what is in it. It
// looks at time of change and size, and at a hash of the content, and needs no events of
// the system. A file that is gone, half written, or otherwise bad leaves the last good map
// in force (Stats.Failed, Stats.Bad); that is logged once, and when it is over. It is best
// replaced by rename, so that nobody sees a half.
//
// One goroutine looks at it, until Close.
type File struct {
	Board
	path string
	cfg  FileConfig
	stop context.CancelFunc
	done chan struct{}

	// The rest is the polling goroutine's.
	time    time.Time // of change, size and hash of what was read last, and when that was
	size    int64
	sum     [sha256.Size]byte
	read    time.Time
	verdict error  // on that
	said    string // what is wrong, as it was logged; empty: nothing
}

// OpenFile begins to read and to watch a file, which need not be there yet. An error
// means that cfg makes no sense.
func OpenFile(path string, cfg FileConfig) (*File, error) {
	if cfg.Interval == 0 {
		cfg.Interval = time.Second
	}
	if cfg.SizeMax == 0 {
		cfg.SizeMax = 1 << 20
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if cfg.Interval < FileIntervalMin || cfg.Interval > FileIntervalMax {
		return nil, fmt.Errorf("resolve: FileConfig.Interval %v is not from %v to %v",
			cfg.Interval, FileIntervalMin, FileIntervalMax)
	}
	if cfg.SizeMax < 0 || cfg.SizeMax > FileSizeMax {
		return nil, fmt.Errorf("resolve: FileConfig.SizeMax %d is not from 1 to %d", cfg.SizeMax, FileSizeMax)
	}
	ctx, stop := context.WithCancel(context.Background())
	f := &File{path: path, cfg: cfg, stop: stop, done: make(chan struct{})}
	f.poll(time.Now())
	go f.run(ctx)
	return f, nil
}

// Close stops looking at the file and ends what watches. It may be repeated.
func (f *File) Close() error {
	f.stop()
	<-f.done
	return f.Board.Close()
}

func (f *File) run(ctx context.Context) {
	defer close(f.done)
	tick := time.NewTicker(f.cfg.Interval)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			f.poll(now)
		case <-ctx.Done():
			return
		}
	}
}

// poll looks at the file once.
func (f *File) poll(now time.Time) {
	err, news := f.look(now)
	if err == nil {
		if f.said != "" {
			f.cfg.Logger.Info("resolve: the map is well again", "file", f.path)
		}
		f.said = ""
		return
	}
	if news {
		var gone *fs.PathError
		f.count(func(s *Stats) {
			if errors.As(err, &gone) {
				s.Failed++
			} else {
				s.Bad++
			}
		})
	}
	f.Trouble(fmt.Errorf("%s: %w", f.path, err), false)
	if s := err.Error(); s != f.said {
		f.said = s
		hint := "the last good map stays in force"
		if f.Current() == nil {
			hint = "there is no map until it is mended"
		}
		f.cfg.Logger.Warn("resolve: no map from the file: "+hint, "file", f.path, "error", err)
	}
}

// look reads the file if it may have changed. The error is what is wrong with it; news
// says that this is another look than the last one.
func (f *File) look(now time.Time) (err error, news bool) {
	st, err := os.Stat(f.path)
	if err != nil {
		f.read = time.Time{}
		return err, true
	}
	if !st.Mode().IsRegular() {
		f.read = time.Time{}
		return fmt.Errorf("it is no regular file, but %s", st.Mode()), true
	}
	known := !f.read.IsZero()
	if known && st.ModTime().Equal(f.time) && st.Size() == f.size && f.read.Sub(f.time) > fileSettle {
		return f.verdict, false
	}
	text, err := readBounded(f.path, f.cfg.SizeMax)
	if err != nil {
		f.read = time.Time{}
		return err, true
	}
	sum := sha256.Sum256(text)
	same := known && sum == f.sum
	f.time, f.size, f.sum, f.read = st.ModTime(), st.Size(), sum, now
	if same {
		return f.verdict, false
	}
	f.verdict = f.take(text)
	return f.verdict, true
}

// take publishes what the file says.
func (f *File) take(text []byte) error {
	epoch, entries, err := ParseMap(text)
	if err != nil {
		return err
	}
	return publishNext(&f.Board, epoch, entries)
}

// errLarge is a file over its bound.
var errLarge = errors.New("it is too large")

func readBounded(path string, most int64) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, most+1))
	if err == nil && int64(len(text)) > most {
		err = fmt.Errorf("%w: more than %d bytes", errLarge, most)
	}
	return text, err
}
