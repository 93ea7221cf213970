//go:build linux

package interop

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
)

// OSD is a ceph-osd, osd.0, with its objects in memory. Its methods are for the
// test's goroutine.
type OSD struct {
	// Addr is its public address, nonce included; ClusterAddr is that for other OSDs.
	Addr, ClusterAddr entity.Addr

	daemon daemon
}

// osdConf is what a ceph.conf says of osd.0; the ports are a range of ten.
const osdConf = `
[osd.0]
osd_data = %[1]s/osd.0
osd_objectstore = memstore
memstore_device_bytes = 1073741824
osd_uuid = %[2]s
ms_bind_port_min = %[3]d
ms_bind_port_max = %[4]d
osd_op_num_shards = 1
osd_op_num_threads_per_shard = 1
`

// StartOSD starts an OSD of mon's cluster and waits until it is active (one to
// four seconds). It is stopped when the test ends.
func StartOSD(t testing.TB, mon *Mon) *OSD {
	t.Helper()
	Need(t, "ceph-osd", "ceph")
	const uuid = "00000001-0000-4000-8000-000000000000"
	dir := mon.daemon.dir
	o := &OSD{}
	o.daemon = daemon{
		t: t, dir: dir, name: "osd.0", args: []string{"ceph-osd", "-c", mon.Conf, "-i", "0", "-f"},
		statusCommand: "status", ready: osdReady,
	}
	t.Cleanup(o.daemon.cleanup)
	if err := os.Mkdir(filepath.Join(dir, "osd.0"), 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(mon.Conf, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	port := int(FreeAddr(t).Port())
	_, err = fmt.Fprintf(f, osdConf, dir, uuid, port, port+9)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		t.Fatal(err)
	}
	o.daemon.run("ceph", "-c", mon.Conf, "osd", "new", uuid, "0")
	o.daemon.run("ceph-osd", "-c", mon.Conf, "-i", "0", "--mkfs", "--osd-uuid", uuid)
	o.daemon.start()

	o.Addr, o.ClusterAddr, err = osdAddrs(t, mon)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// osdAddrs asks the monitor for the addresses of its only OSD.
func osdAddrs(t testing.TB, mon *Mon) (public, cluster entity.Addr, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), readyMax)
	defer cancel()
	out, stderr, err := Ceph(ctx, t, mon.Conf, "osd", "dump", "--format=json")
	if err != nil {
		return public, cluster, fmt.Errorf("osd dump: %w: %s", err, stderr)
	}
	type addrs struct {
		Addrvec []struct {
			Addr  netip.AddrPort
			Nonce uint32
		}
	}
	var dump struct {
		OSDs []struct {
			PublicAddrs  addrs `json:"public_addrs"`
			ClusterAddrs addrs `json:"cluster_addrs"`
		}
	}
	if err := json.Unmarshal([]byte(out), &dump); err != nil {
		return public, cluster, fmt.Errorf("osd dump: %w", err)
	}
	if len(dump.OSDs) != 1 || len(dump.OSDs[0].PublicAddrs.Addrvec) != 1 ||
		len(dump.OSDs[0].ClusterAddrs.Addrvec) != 1 {
		return public, cluster, fmt.Errorf("osd dump: not one OSD with one address of each kind: %s", out)
	}
	addr := func(a addrs) entity.Addr {
		return entity.Addr{Type: entity.AddrMsgr2, Nonce: a.Addrvec[0].Nonce, AddrPort: a.Addrvec[0].Addr}
	}
	return addr(dump.OSDs[0].PublicAddrs), addr(dump.OSDs[0].ClusterAddrs), nil
}

func osdReady(status []byte) error {
	var s struct{ State string }
	if err := json.Unmarshal(status, &s); err != nil {
		return fmt.Errorf("%w: %q", err, status)
	}
	if s.State != "active" {
		return fmt.Errorf("it is %s", s.State)
	}
	return nil
}
