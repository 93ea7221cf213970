package main

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRun(t *testing.T) {
	for _, c := range []struct {
		args           []string
		code           int
		stdout, stderr string // what has to be there; "" means nothing at all
	}{
		{[]string{"version"}, exitOK, "msgr v2.1", ""},
		{nil, exitOK, "Usage: msgr <command>", ""},
		{[]string{"--help"}, exitOK, "Commands:", ""},
		{[]string{"version", "--help"}, exitOK, "Usage: msgr version", ""},
		{[]string{"nope"}, exitUsage, "", "msgr: unexpected argument nope"},
		{[]string{"version", "--nope"}, exitUsage, "", "msgr: unknown flag --nope"},
	} {
		var stdout, stderr bytes.Buffer
		if code := run(c.args, &stdout, &stderr); code != c.code {
			t.Errorf("msgr %q: exit code %d, want %d", c.args, code, c.code)
		}
		for _, out := range []struct{ what, got, want string }{
			{"stdout", stdout.String(), c.stdout}, {"stderr", stderr.String(), c.stderr},
		} {
			if (out.want == "") != (out.got == "") || !bytes.Contains([]byte(out.got), []byte(out.want)) {
				t.Errorf("msgr %q: %s is %q, want %q", c.args, out.what, out.got, out.want)
			}
		}
	}
}

func TestLongFlags(t *testing.T) {
	require.Equal(t, []string{"ping", "--count", "5", "-h", "--interval=1s", "v2:1.2.3.4:3300/0", "-1", "--", "-count"},
		longFlags([]string{"ping", "-count", "5", "-h", "-interval=1s", "v2:1.2.3.4:3300/0", "-1", "--", "-count"}))
}
