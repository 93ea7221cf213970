package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const recordings = "../../../connection/frame/testdata/recordings/"

func decode(args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = run(append([]string{"decode"}, args...), &out, &errs)
	return code, out.String(), errs.String()
}

// wants fails the test for each want that text does not contain.
func wants(t *testing.T, text string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in:\n%s", want, text)
		}
	}
}

func TestDecode(t *testing.T) {
	code, out, errs := decode(recordings+"none-crc-ping.0.hex", recordings+"none-crc-lossless-reconnect.3.hex")
	if code != exitOK || errs != "" {
		t.Fatal(code, errs)
	}
	wants(t, out,
		"==> "+recordings+"none-crc-ping.0.hex\n",
		"==> "+recordings+"none-crc-lossless-reconnect.3.hex\n",
		"C @0 len 26 BANNER sup=0x1 req=0x0\n",
		"C @98 len 74 AUTH_REQUEST method=1 modes=[1] payload=(22 bytes)\n",
		"S @218 len 124 SERVER_IDENT addrs=v2:127.0.0.1:13300/0 gid=0 gseq=18 ",
		"\nframes 12, preamble crcs 12 ok, segment crcs 14 ok\n",
		"SESSION_RECONNECT_OK")
}

func TestDecodeEncrypted(t *testing.T) {
	code, out, errs := decode(recordings + "cephx-secure-ping.0.hex")
	if code != exitOK || errs != "" {
		t.Fatal(code, errs)
	}
	wants(t, out, "C encrypted from here: 480 bytes\nS encrypted from here: 4496 bytes\nframes 6, ")
}

func TestDecodeBroken(t *testing.T) {
	for file, want := range map[string]string{
		"none-crc-traps.46.hex": "C @399: frame: bad late status",
		"none-crc-traps.48.hex": "C @399: frame: segment crc mismatch in MESSAGE: segment 0 of 41 bytes",
	} {
		code, out, errs := decode(recordings+file, recordings+"none-crc-ping.0.hex")
		if code != exitFault {
			t.Errorf("%s: exit code %d", file, code)
		}
		wants(t, errs, file+": "+want)
		wants(t, out, "frames 8, preamble crcs 8 ok, segment crcs 8 ok\n")
		if strings.Contains(out, "none-crc-ping") {
			t.Error("went on after a frame that does not verify")
		}
	}
}

func TestDecodeEndsInside(t *testing.T) {
	whole, err := os.ReadFile(recordings + "none-crc-ping.0.hex")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(whole), "\n")
	for _, c := range []struct {
		lines      int // of the recording: a comment, two banners, a frame
		more       string
		code       int
		text, errs string
	}{
		{4, "C 26 2 0.1 0101\n", exitOK, "C ends inside a frame, after 2 bytes of it\nframes 1, ", ""},
		{3, "C 26 2 0.1 0101\n", exitFault, "frames 0, ", "no complete frame"},
		{3, "C 30 2 0.1 0101\n", exitFault, "", "line 4: offset 30, want 26"},
	} {
		file := filepath.Join(t.TempDir(), "cut.hex")
		text := strings.Join(lines[:c.lines], "") + c.more
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		code, out, errs := decode(file)
		if code != c.code {
			t.Errorf("%d %q: exit code %d: %s", c.lines, c.more, code, errs)
		}
		wants(t, out, c.text)
		wants(t, errs, c.errs)
	}
	if code, _, _ := decode(filepath.Join(t.TempDir(), "absent")); code != exitFault {
		t.Error("a file that is not there:", code)
	}
}
