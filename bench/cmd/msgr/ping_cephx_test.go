//go:build linux

package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async/interop"
	"github.com/asyncmsgr/asyncmsgr/bench/internal/command"
)

// otherKey is a key of type aes that is in no cluster.
const otherKey = "[client.admin]\n\tkey = AQAAAAAAAAAAABAAERITFBUWFxgZGhscHR4fIQ==\n"

// TestPingByCephx: a real monitor, in either mode, and in a line what is wrong otherwise,
// with what it allows.
func TestPingByCephx(t *testing.T) {
	secure, crc := interop.StartMon(t, interop.Cephx(t, "secure")), interop.StartMon(t, interop.Cephx(t, "crc"))
	both := interop.StartMon(t, interop.Cephx(t, "crc secure"))
	none := interop.StartMon(t, interop.MonOptions{})
	old := interop.Cephx(t, "crc secure")
	old.LegacyOnly = true
	v1 := interop.StartMon(t, old)
	stranger := fileOf(t, strings.Replace(otherKey, "client.admin", "client.stranger", 1))
	ring, other := fileOf(t, interop.CephxKeyring(t)), fileOf(t, otherKey)
	for name, tc := range map[string]struct {
		mon   *interop.Mon
		flags []string
		says  []string // the first one is a line of its own
	}{
		"secure":     {secure, []string{"--auth", "cephx", "--keyring", ring}, []string{"cephx, secure mode\n"}},
		"as an osd":  {secure, []string{"--keyring", ring, "--name", "osd.0"}, []string{"cephx, secure mode\n"}},
		"as a mon":   {secure, []string{"--keyring", ring, "--name", "mon."}, []string{"cephx, secure mode\n"}},
		"crc":        {crc, []string{"--keyring", ring}, []string{"cephx, crc mode\n"}},
		"both":       {both, []string{"--keyring", ring}, []string{"cephx, secure mode\n"}},
		"demand":     {both, []string{"--keyring", ring, "--mode", "secure"}, []string{"cephx, secure mode\n"}},
		"demand crc": {both, []string{"--keyring", ring, "--mode", "crc"}, []string{"cephx, crc mode\n"}},
		"secure only": {secure, []string{"--keyring", ring, "--mode", "crc"}, []string{"no answer",
			"demanded modes [crc]; offered methods [cephx], modes [secure]"}},
		"crc only": {crc, []string{"--keyring", ring, "--mode", "secure"}, []string{"no answer",
			"demanded modes [secure]; offered methods [cephx], modes [crc]"}},
		"wrong key": {secure, []string{"--keyring", other}, []string{"no answer",
			"the monitor knows no client.admin, or another key of it, or takes no keys of type aes: ",
			"-13 (permission denied); allowed: methods [cephx], modes [secure]"}},
		"unknown entity": {secure, []string{"--auth", "cephx", "--mode", "secure", "--keyring", stranger,
			"--name", "client.stranger"}, []string{"no answer",
			"client.stranger is not let in: the monitor knows no client.stranger, or another key of it, ",
			"-13 (permission denied); allowed: methods [cephx], modes [secure]"}},
		"v1 only": {v1, []string{"--auth", "cephx", "--mode", "secure", "--keyring", ring}, []string{"no answer",
			"peer speaks msgr v1", "port 3300"}},
		"no cephx": {none, []string{"--keyring", ring}, []string{"no answer", "the peer has no cephx",
			"allowed: methods [none], modes [crc]"}},
		"cephx only": {secure, nil, []string{"no answer", "allowed: methods [cephx], modes ["}},
	} {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := pinged(t, append(tc.flags, tc.mon.Addr.String())...)
			want := command.ExitOK
			if tc.says[0] == "no answer" {
				want = command.ExitFault
			}
			require.Equal(t, want, code, "%s%s", stdout, stderr)
			for _, s := range tc.says {
				require.Contains(t, stdout, s)
			}
			if want == command.ExitFault {
				t.Log(stdout)
				require.Equal(t, 1, strings.Count(stdout, "no answer"), stdout)
			}
		})
	}
}

// TestPingKeyringFlags: what is wrong with the flags and the keyring.
func TestPingKeyringFlags(t *testing.T) {
	ring := fileOf(t, interop.CephxKeyring(t))
	for name, tc := range map[string]struct {
		flags []string
		says  string
	}{
		"no keyring":   {[]string{"--auth", "cephx"}, "--auth cephx needs --keyring FILE"},
		"no such file": {[]string{"--keyring", ring + ".no"}, "no such file"},
		"no keys":      {[]string{"--auth", "tls"}, "--auth tls needs --secret-file"},
		"two methods": {[]string{"--keyring", ring, "--secret-file", ring},
			"--keyring and --secret-file: give one or the other"},
		"another": {[]string{"--keyring", ring, "--auth", "tls"},
			"--auth tls has no --keyring: that goes with --auth cephx"},
		"none": {[]string{"--keyring", ring, "--auth", "none"}, "--auth none has no --keyring"},
		"unknown entity": {[]string{"--keyring", ring, "--name", "client.x"},
			"no key for client.x; it has those of client.admin, mon., osd.0; choose by --name"},
		"bad name":     {[]string{"--keyring", ring, "--name", "x"}, "--name: "},
		"another type": {[]string{"--keyring", ring, "--type", "osd"}, "who logs in by cephx does so at a monitor"},
		"empty":        {[]string{"--keyring", fileOf(t, "")}, "no key for client.admin: it is empty"},
		"unknown type": {[]string{"--keyring",
			fileOf(t, "[client.admin]\nkey = BwAAAAAAAAAAABAAERITFBUWFxgZGhscHR4fIQ==\n")},
			"line 2: client.admin: cephx: unknown type of key: 7"},
		"a mode without method": {[]string{"--name", "client.x"}, "--name goes with"},
	} {
		t.Run(name, func(t *testing.T) {
			code, _, stderr := pinged(t, append(tc.flags, "127.0.0.1:1")...)
			require.Equal(t, command.ExitUsage, code, stderr)
			require.Contains(t, stderr, tc.says)
			require.NotContains(t, stderr, "AQAA")
		})
	}
}
