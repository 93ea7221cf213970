//go:build linux

package interop

import (
	"fmt"
	"net/netip"
)

// conf is the ceph.conf of a monitor at addr with its state under dir. The
// daemon speaks msgr2 alone, over IPv4, with AUTH_NONE and crc frames, commits
// without delay and keeps its memory small.
func conf(dir string, addr netip.AddrPort, o MonOptions) string {
	return fmt.Sprintf(`[global]
fsid = %[3]s
mon_host = [v2:%[2]s/0]
mon_initial_members = a
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
public_network = 127.0.0.0/8
ms_bind_msgr1 = false
ms_bind_msgr2 = true
ms_bind_ipv4 = true
ms_bind_ipv6 = false
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
ms_cluster_mode = crc
ms_service_mode = crc
ms_client_mode = crc
ms_mon_cluster_mode = crc
ms_mon_service_mode = crc
ms_mon_client_mode = crc
keyring = %[1]s/keyring
run_dir = %[1]s/run
admin_socket = %[1]s/run/$cluster-$name.asok
pid_file = %[1]s/run/$name.pid
log_file = %[1]s/log/$name.log
crash_dir = %[1]s/crash
log_to_stderr = false
mon_cluster_log_file = %[1]s/log/cluster.log
osd_pool_default_size = 1
osd_pool_default_min_size = 1
mon_data_avail_crit = 1
mon_data_avail_warn = 2
debug_rocksdb = 0/0
rocksdb_cache_size = 16777216
mon_memory_target = 134217728
mon_memory_autotune = false
paxos_propose_interval = 0.02
paxos_min_wait = 0.01
%[4]s
[mon.a]
mon_data = %[1]s/mon.a
%[5]s
`, dir, addr, FSID, o.Global, o.Mon)
}

// clientConf is the ceph.conf of a client of the monitor at addr, with its state
// under dir.
func clientConf(dir string, addr netip.AddrPort) string {
	return fmt.Sprintf(`[global]
mon_host = [v2:%[2]s/0]
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
ms_mon_client_mode = crc
ms_client_mode = crc
keyring = %[1]s/keyring
run_dir = %[1]s
admin_socket = 
log_file = %[1]s/client.log
log_to_stderr = false
crash_dir = %[1]s
`, dir, addr)
}
