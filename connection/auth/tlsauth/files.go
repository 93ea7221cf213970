package tlsauth

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
)

// filesCheckMin is how often the files are looked at, at most.
const filesCheckMin = time.Second

// files are credentials in files, which are read again when they change: a handshake
// looks, unless another one did so within filesCheckMin. What cannot be used is told to
// Config.Warn, once for each change, and the last credentials stay.
type files struct {
	cfg  *Config
	name entity.AuthName // it does not change with the files

	current atomic.Pointer[credentials]

	mu      sync.Mutex // held by who looks; others go on with current
	checked time.Time
	seen    [3]fs.FileInfo // at the last attempt, good or bad; nil: not there
}

// newFiles reads the files for the first time: now what is wrong is an error.
func newFiles(cfg *Config, now time.Time) (*files, error) {
	f := &files{cfg: cfg, name: cfg.Name, checked: now}
	f.seen = f.look()
	c, err := f.read(now)
	if err != nil {
		return nil, err
	}
	f.name = c.name
	f.current.Store(c)
	return f, nil
}

func (f *files) credentials(now time.Time) (*credentials, error) {
	if f.mu.TryLock() {
		defer f.mu.Unlock()
		// A clock that was put back looks at once.
		if d := now.Sub(f.checked); d < 0 || d >= filesCheckMin {
			f.checked = now
			f.refresh(now)
		}
	}
	return f.current.Load(), nil
}

func (f *files) unknownAuthority() string {
	return "issue it by an authority in " + f.cfg.CAFile + ", or add its own to that file"
}

// refresh reads the files if they changed. What changes while they are read is seen the
// next time.
func (f *files) refresh(now time.Time) {
	seen := f.look()
	same := true
	for i := range seen {
		same = same && sameFile(seen[i], f.seen[i])
	}
	if same {
		return
	}
	f.seen = seen
	c, err := f.read(now)
	if err != nil {
		f.cfg.warn(fmt.Errorf("%w; what was read before stays in use", err))
		return
	}
	f.current.Store(c)
}

func (f *files) look() (seen [3]fs.FileInfo) {
	for i, name := range []string{f.cfg.CertFile, f.cfg.KeyFile, f.cfg.CAFile} {
		if info, err := statFile(name); err == nil {
			seen[i] = info
		}
	}
	return seen
}

// read reads all three files. Its errors are *FileErrors.
func (f *files) read(now time.Time) (*credentials, error) {
	bad := func(file string, reason error, advice string) (*credentials, error) {
		return nil, &FileError{File: file, Reason: reason, Advice: advice}
	}
	var text [3][]byte
	for i, name := range []string{f.cfg.CertFile, f.cfg.KeyFile, f.cfg.CAFile} {
		b, err := readFile(name)
		if err != nil {
			return bad(name, plainer(err), "")
		}
		text[i] = b
	}
	certs, err := parseCertificates(text[0])
	if err != nil {
		return bad(f.cfg.CertFile, err, "")
	}
	key, err := parseKey(text[1])
	if err != nil {
		return bad(f.cfg.KeyFile, err, "")
	}
	cas, err := parseCertificates(text[2])
	if err != nil {
		return bad(f.cfg.CAFile, err, "")
	}
	pair, err := joinPair(certs, key)
	if err != nil {
		return bad(f.cfg.KeyFile, fmt.Errorf("%w: the certificate is %s", err, f.cfg.CertFile), "")
	}
	if detail, advice, reason := validity(pair.Leaf, now); reason != nil {
		return bad(f.cfg.CertFile, fmt.Errorf("%w %s", reason, detail), advice)
	}
	roots, err := pool(cas, now)
	if err != nil {
		return bad(f.cfg.CAFile, err, "give an authority that is valid")
	}
	want := *f.cfg
	want.Name = f.name
	name, err := ownName(pair.Leaf, &want)
	if err != nil {
		return bad(f.cfg.CertFile, err, "")
	}
	return pairCredentials(pair, roots, name), nil
}

// pool makes a pool of authorities. Those that expired may be left in a file, but one has
// to be valid.
func pool(cas []*x509.Certificate, now time.Time) (*x509.CertPool, error) {
	p := x509.NewCertPool()
	var worst error
	valid := false
	for _, ca := range cas {
		if !ca.IsCA {
			return nil, fmt.Errorf("%w: %s is no authority", ErrInvalid, quoted(ca.Subject.CommonName))
		}
		if detail, _, reason := validity(ca, now); reason != nil {
			worst = fmt.Errorf("%w %s", reason, detail)
		} else {
			valid = true
		}
		p.AddCert(ca)
	}
	if !valid {
		return nil, worst
	}
	return p, nil
}

// plainer leaves out the name of the file, which is said already.
func plainer(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}
