package conf

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
)

var admin = entity.AuthName{Type: entity.TypeClient, ID: "admin"}

// real is what ceph-deploy, cephadm and people write, in one file.
const real = "# minimal ceph.conf for 11111111\n" +
	"[global]\n" +
	"\tfsid = 11111111-2222-3333-4444-555555555555\n" +
	"\tmon_host = [v2:10.0.0.1:3300/0,v1:10.0.0.1:6789/0] [v2:10.0.0.2:3300/0,v1:10.0.0.2:6789/0]\n" +
	"auth client-required = none   ; for now\n" +
	"  log   file= \"/var/log/a#b; c.log\"  # quoted\n" +
	"long = one \\\n two\n" +
	"twice = 1\ntwice = 2\n" +
	"sign = a\\#b\n" +
	"empty =\n" +
	"\n[client]\r\nkeyring = /c/$cluster.$name.keyring, /c/${type}-$id\r\n" +
	"[client.admin] # me\nsome option = mine\n" +
	"[mon.a]\nsome_option = not mine\nmon addr = 10.0.0.9\n"

func TestParse(t *testing.T) {
	f, err := Parse(strings.NewReader(real))
	require.NoError(t, err)
	for option, want := range map[string]string{
		"fsid":                 "11111111-2222-3333-4444-555555555555",
		"auth_client_required": "none", "log_file": "/var/log/a#b; c.log",
		"log-file": "/var/log/a#b; c.log", "long": "one  two", "twice": "2", "sign": "a#b", "empty": "",
		"some option": "mine",
	} {
		got, ok := f.Get(admin, option)
		require.True(t, ok, option)
		require.Equal(t, want, got, option)
	}
	_, ok := f.Get(admin, "absent")
	require.False(t, ok)
	_, ok = f.Get(entity.AuthName{Type: entity.TypeClient, ID: "x"}, "some option")
	require.False(t, ok)
	require.True(t, f.Wants(admin, "none"))
	require.False(t, f.Wants(admin, "cephx"))
	require.Equal(t, []string{"/c/ceph.client.admin.keyring", "/c/client-admin"}, f.Keyrings("", admin))
	require.Equal(t, "/c/x.client.admin.keyring", f.Keyrings("x", admin)[0])
	hosts, err := f.MonHosts(admin)
	require.NoError(t, err)
	require.Len(t, hosts, 2)
	require.Equal(t, "v2:10.0.0.1:3300/0", hosts[0].Addrs.String())

	f, err = Parse(strings.NewReader("\ufeff[mon.b]\nmon addr = 10.0.0.2:3300\n[mon.a]\nmon_addr=10.0.0.1\n"))
	require.NoError(t, err)
	hosts, err = f.MonHosts(admin)
	require.NoError(t, err)
	require.Equal(t, "v2:10.0.0.1:3300/0", hosts[0].Addrs.String())
	require.Len(t, hosts, 2)
	require.True(t, f.Wants(admin, "cephx"))
	require.Equal(t, []string{"/etc/ceph/ceph.client.admin.keyring", "/etc/ceph/ceph.keyring", "/etc/ceph/keyring",
		"/etc/ceph/keyring.bin"}, f.Keyrings("", admin))
	f, err = Parse(strings.NewReader("[global]\nauth supported = none, cephx\n"))
	require.NoError(t, err)
	require.True(t, f.Wants(admin, "cephx"))
	_, err = f.MonHosts(admin)
	require.ErrorIs(t, err, ErrMonHost)
	require.False(t, new(File).Wants(admin, "none"))
}

func TestParseErrors(t *testing.T) {
	for text, says := range map[string]string{
		"a = b\n":                 "line 1: an option before the first section",
		"[global]\n\nfsid\n":      "line 3: neither a section nor an option",
		"[global\na = b\n":        "line 1: a section is not closed",
		"[]\n":                    "line 1: a section is not closed, or has no name",
		"[a] b\n":                 "line 1: a section is not closed",
		"[a]\n = b\n":             "line 2: neither",
		"[a]\n" + longLine + "\n": "line 2: bufio.Scanner: token too long",
	} {
		_, err := Parse(strings.NewReader(text))
		require.ErrorIs(t, err, ErrSyntax)
		require.ErrorContains(t, err, says)
	}
}

var longLine = strings.Repeat("a", lineMax+1)

// TestMonHosts: the forms of mon_host.
func TestMonHosts(t *testing.T) {
	for value, want := range map[string]string{
		"10.0.0.1":                                     "v2:10.0.0.1:3300/0",
		"10.0.0.1:3300":                                "v2:10.0.0.1:3300/0",
		"10.0.0.1:3300/0":                              "v2:10.0.0.1:3300/0",
		"10.0.0.1:13300":                               "v2:10.0.0.1:13300/0",
		"v2:10.0.0.1:3300":                             "v2:10.0.0.1:3300/0",
		"v2:10.0.0.1":                                  "v2:10.0.0.1:3300/0",
		"v2:10.0.0.1:3300/7":                           "v2:10.0.0.1:3300/7",
		"any:10.0.0.1:3300/0":                          "v2:10.0.0.1:3300/0",
		"[v2:10.0.0.1:3300/0]":                         "v2:10.0.0.1:3300/0",
		"[v2:10.0.0.1:3300/0,v1:10.0.0.1:6789/0]":      "v2:10.0.0.1:3300/0",
		"[v1:10.0.0.1:6789/0, v2:10.0.0.1:3300/0]":     "v2:10.0.0.1:3300/0",
		"[v2:[fd00::1]:3300/0,v1:[fd00::1]:6789/0]":    "v2:[fd00::1]:3300/0",
		"[v2:10.0.0.1:3300,v2:[fd00::1]:3300]":         "[v2:10.0.0.1:3300/0,v2:[fd00::1]:3300/0]",
		"[fd00::1]":                                    "v2:[fd00::1]:3300/0",
		"fd00::1":                                      "v2:[fd00::1]:3300/0",
		"[fd00::1]:3300":                               "v2:[fd00::1]:3300/0",
		"v2:[fd00::1]:3300/0":                          "v2:[fd00::1]:3300/0",
		"10.0.0.1, 10.0.0.2":                           "v2:10.0.0.1:3300/0 v2:10.0.0.2:3300/0",
		"10.0.0.1;10.0.0.2 v2:10.0.0.3:3300":           "v2:10.0.0.1:3300/0 v2:10.0.0.2:3300/0 v2:10.0.0.3:3300/0",
		"[v2:10.0.0.1:1/0],[v2:10.0.0.2:2,v1:1.1.1.1]": "v2:10.0.0.1:1/0 v2:10.0.0.2:2/0",
		"mon1":                         "mon1=3300",
		"mon1, mon-2.example.com:3301": "mon1=3300 mon-2.example.com=3301",
	} {
		hosts, err := ParseMonHosts(value)
		require.NoError(t, err, value)
		require.Equal(t, want, strings.Join(texts(hosts), " "), value)
	}
	const noV2 = "no address of msgr v2"
	for value, says := range map[string]string{
		"": "it is empty", " , ": "it is empty", "10.0.0.1:6789": noV2, "v1:10.0.0.1:6789": noV2, "mon1:6789": noV2,
		"[v1:10.0.0.1:6789/0]": noV2, "10.0.0.1:0": "neither",
		"mon1:0": "the port is no number", "v2:mon1:3300": "no IP address",
		"mon1:x": "the port is no number", "10.0.0.256": "neither",
		"v2:10.0.0.1:3300/x": "the nonce", "a b!": `"b!": neither`,
		"[v2:10.0.0.1:3300,10.0.0.2]": "an address has no v2:", "[v2:10.0.0.1": "neither", "10.0.0.1:3300/4": "is 0",
		strings.Repeat("10.0.0.1 ", 65): "65 monitors, at most 64",
	} {
		_, err := ParseMonHosts(value)
		require.ErrorIs(t, err, ErrMonHost, value)
		require.ErrorContains(t, err, says, value)
	}
}

func texts(hosts []Host) (out []string) {
	for _, h := range hosts {
		if h.Addrs == nil {
			out = append(out, fmt.Sprint(h.Name, "=", h.Port))
			continue
		}
		out = append(out, h.Addrs.String())
	}
	return out
}

// FuzzParse: no file panics, and what is read is read again the same.
func FuzzParse(f *testing.F) {
	f.Add(real)
	f.Add("[global]\nmon_host = mon1,[v2:10.0.0.1:3300]\\\n")
	f.Add("[a]\nb = '\\'")
	f.Fuzz(func(t *testing.T, text string) {
		file, err := Parse(strings.NewReader(text))
		if err != nil {
			return
		}
		file.Keyrings("ceph", admin)
		hosts, err := file.MonHosts(admin)
		if err != nil {
			return
		}
		for _, h := range hosts {
			if h.Addrs == nil {
				require.True(t, isName(h.Name))
				continue
			}
			again, err := ParseMonHosts("[" + strings.Trim(h.Addrs.String(), "[]") + "]")
			if len(h.Addrs) == 1 && err == nil {
				require.Equal(t, []Host{h}, again)
			}
		}
	})
}
