//go:build linux

package interop

import (
	"fmt"
	"os/exec"
	"regexp"
	"testing"
)

// CephxKeyring is the keyring of a cluster with cephx, of the release that is installed: a
// new cluster of tentacle and later takes keys of type aes256k alone, older ones know no other
// type than aes. The keys were made for tests alone.
func CephxKeyring(t testing.TB) string {
	if Release(t) >= "tentacle" { // they are in the order of the alphabet since nautilus
		return keyringAES256K
	}
	return keyringAES
}

// Release is the name of the installed release of Ceph, such as "pacific"; it skips the test
// as Need does.
func Release(t testing.TB) string {
	t.Helper()
	Need(t, "ceph-mon")
	out, err := exec.Command("ceph-mon", "--version").Output()
	if err != nil {
		t.Fatal(err)
	}
	m := releaseName.FindSubmatch(out)
	if m == nil {
		t.Fatalf("ceph-mon --version: %q", out)
	}
	return string(m[1])
}

// releaseName is in "ceph version 16.2.15 (618f..) pacific (stable)".
var releaseName = regexp.MustCompile(`\) ([a-z]+) \(`)

const keyringAES = `[mon.]
	key = AQAAAAAAAAAAABAAAQIDBAUGBwgJCgsMDQ4PEA==
	caps mon = "allow *"
[osd.0]
	key = AQAAAAAAAAAAABAAISIjJCUmJygpKissLS4vMA==
	caps mon = "allow profile osd"
	caps osd = "allow *"
[client.admin]
	key = AQAAAAAAAAAAABAAERITFBUWFxgZGhscHR4fIA==
	caps mds = "allow *"
	caps mgr = "allow *"
	caps mon = "allow *"
	caps osd = "allow *"
`

const keyringAES256K = `[mon.]
	key = AgAAAAAAAAAAACAAAQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=
	caps mon = "allow *"
[osd.0]
	key = AgAAAAAAAAAAACAAcXJzdHV2d3h5ent8fX5/gIGCg4SFhoeIiYqLjI2Oj5A=
	caps mon = "allow profile osd"
	caps osd = "allow *"
[client.admin]
	key = AgAAAAAAAAAAACAAQUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVpbXF1eX2A=
	caps mds = "allow *"
	caps mgr = "allow *"
	caps mon = "allow *"
	caps osd = "allow *"
`

// Cephx are the options of a monitor that wants cephx, with CephxKeyring, in those modes:
// "crc", "secure", or both in the order of preference.
func Cephx(t testing.TB, modes string) MonOptions {
	t.Helper()
	o := MonOptions{Keyring: CephxKeyring(t), Global: `
auth_cluster_required = cephx
auth_service_required = cephx
auth_client_required = cephx
auth_allow_insecure_global_id_reclaim = false
`}
	for _, m := range []string{"mon_cluster", "mon_service", "mon_client", "cluster", "service", "client"} {
		o.Global += fmt.Sprintf("ms_%s_mode = %s\n", m, modes)
	}
	return o
}
