package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// certFile is the name of a file of certificates or keys, without its folder.
type certFile string

const (
	caCert certFile = "ca.pem"
	caKey  certFile = "ca.key"
)

func (f certFile) in(dir string) string { return filepath.Join(dir, string(f)) }

// pairFiles are the two files of a messenger: osd.3.pem and osd.3.key.
func pairFiles(name fmt.Stringer) (cert, key certFile) {
	return certFile(name.String() + ".pem"), certFile(name.String() + ".key")
}

// The modes of files.
const (
	modeCert fs.FileMode = 0o644
	modeKey  fs.FileMode = 0o600
	modeDir  fs.FileMode = 0o700
)

// pemFileMax bounds what is read, in bytes.
const pemFileMax = 1 << 20

func readPEM(name, what string) ([]byte, error) {
	f, err := openFile(name, what)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, pemFileMax+1))
	if err == nil && len(b) > pemFileMax {
		err = fmt.Errorf("%s has more than %d bytes; give the name of %s", name, pemFileMax, what)
	}
	return b, err
}

// absent refuses to replace files, all of them before any is written.
func absent(force bool, names ...string) error {
	for _, name := range names {
		switch _, err := os.Lstat(name); {
		case force || errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return err
		default:
			return fmt.Errorf("%s is there already; --force replaces it", name)
		}
	}
	return nil
}

// replaceFile writes a file as a whole: whoever opens it gets the old one or the new one.
func replaceFile(name string, text []byte, mode fs.FileMode) (err error) {
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(f.Name()) // if that fails too, the first error says more
		}
	}()
	if _, err = f.Write(text); err != nil {
		return err
	}
	if err = f.Chmod(mode); err != nil {
		return err
	}
	if err = f.Sync(); err != nil {
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}
