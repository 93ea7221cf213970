//go:build linux

package interop

import "fmt"

// CephxKeyring is the keyring of a cluster with cephx; its keys, of type aes, were made for
// tests alone.
const CephxKeyring = `[mon.]
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

// Cephx are the options of a monitor that wants cephx, with CephxKeyring, in those modes:
// "crc", "secure", or both in the order of preference.
func Cephx(modes string) MonOptions {
	o := MonOptions{Keyring: CephxKeyring, Global: `
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
