package tlsauth

import (
	"crypto/rand"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"
)

// All that this package takes from outside, unless it is handed something else, is here.

func systemTime() time.Time { return time.Now() }

var systemRand io.Reader = rand.Reader

// fileMax bounds a file of certificates or keys, in bytes: more is a mistake.
const fileMax = 1 << 20

func statFile(name string) (fs.FileInfo, error) { return os.Stat(name) }

// sameFile says whether a file is what it was: a file that was renamed over it has its
// size and perhaps its time, but not its place on the disk.
func sameFile(a, b fs.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, fileMax+1))
	if err == nil && len(b) > fileMax {
		err = fmt.Errorf("it has more than %d bytes", fileMax)
	}
	return b, err
}
