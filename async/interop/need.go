//go:build linux

package interop

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
)

// cephDir is the folder of another Ceph than the one that is installed, with its programs in bin, as
// .ci/ceph-rig makes it: that of the environment variable ASYNCMSGR_CEPH.
var cephDir = os.Getenv("ASYNCMSGR_CEPH")

// pythonRados is the interpreter that has the module rados: Debian's, or cephDir's.
var pythonRados = "/usr/bin/python3"

func init() {
	if cephDir == "" {
		return
	}
	pythonRados = filepath.Join(cephDir, "bin", "python3")
	path := filepath.Join(cephDir, "bin") + string(os.PathListSeparator) + os.Getenv("PATH")
	if err := os.Setenv("PATH", path); err != nil {
		panic(err)
	}
}

const howToInstall = "apt-get install --no-install-recommends ceph-mon ceph-osd ceph-common python3-rados"

// Need skips the test, or fails it if ASYNCMSGR_INTEROP=require, unless all the
// programs are installed.
func Need(t testing.TB, programs ...string) {
	t.Helper()
	mode := os.Getenv("ASYNCMSGR_INTEROP")
	if mode == "off" {
		t.Skip("ASYNCMSGR_INTEROP=off")
	}
	// It is read again, since the go command keeps results by what tests read, and does not see what
	// was read before they began.
	if os.Getenv("ASYNCMSGR_CEPH") != cephDir {
		t.Fatal("ASYNCMSGR_CEPH has changed")
	}
	if _, err := os.Stat(filepath.Join(cephDir, "bin", "ceph-mon")); cephDir != "" && err != nil {
		t.Fatalf("ASYNCMSGR_CEPH: %v; .ci/ceph-rig makes such a folder, and its path is to be absolute", err)
	}
	for _, p := range programs {
		if _, err := exec.LookPath(p); err == nil {
			continue
		}
		if mode == "require" {
			t.Fatalf("%s is not installed and ASYNCMSGR_INTEROP=require: %s", p, howToInstall)
		}
		t.Skipf("%s is not installed: %s", p, howToInstall)
	}
}

// NeedRados is Need for python3-rados.
func NeedRados(t testing.TB) {
	t.Helper()
	Need(t, pythonRados)
	if err := exec.Command(pythonRados, "-c", "import rados").Run(); err != nil {
		if os.Getenv("ASYNCMSGR_INTEROP") == "require" {
			t.Fatalf("python3-rados is not installed and ASYNCMSGR_INTEROP=require: %s", howToInstall)
		}
		t.Skipf("python3-rados is not installed: %s", howToInstall)
	}
}

// FreeAddr returns a loopback address that nobody listens on. Its port lies
// below the range from which the kernel takes the ports of outgoing
// connections, so that it stays free until the caller listens on it.
func FreeAddr(t testing.TB) netip.AddrPort {
	t.Helper()
	var last error
	for range 100 {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(13000+rand.IntN(17000)))
		l, err := net.Listen("tcp4", addr)
		if err != nil {
			last = err
			continue
		}
		if err := l.Close(); err != nil {
			last = err
			continue
		}
		return netip.MustParseAddrPort(addr)
	}
	t.Fatal(fmt.Errorf("no free port on 127.0.0.1: %w", last))
	return netip.AddrPort{}
}
