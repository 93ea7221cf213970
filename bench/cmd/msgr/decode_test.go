package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/asyncmsgr/asyncmsgr/bench/internal/command"
	"github.com/asyncmsgr/asyncmsgr/bench/internal/command/commandtest"
	"github.com/stretchr/testify/require"
)

const recordings = "../../../connection/frame/testdata/recordings/"

func decode(args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = run(append([]string{"decode"}, args...), &out, &errs)
	return code, out.String(), errs.String()
}

func TestDecode(t *testing.T) {
	code, out, errs := decode(recordings+"none-crc-ping.0.hex", recordings+"none-crc-lossless-reconnect.3.hex")
	if code != command.ExitOK || errs != "" {
		t.Fatal(code, errs)
	}
	commandtest.Wants(t, out,
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
	if code != command.ExitOK || errs != "" {
		t.Fatal(code, errs)
	}
	commandtest.Wants(t, out, "C encrypted from here: 480 bytes\nS encrypted from here: 4496 bytes\nframes 6, ")
}

// TestDecodeCompressed: what real OSDs have compressed is opened, whatever the algorithm.
func TestDecodeCompressed(t *testing.T) {
	const dir = "../../../async/compress/codecs/testdata/none-crc-osd-"
	for _, a := range []string{"zlib", "snappy", "zstd", "lz4"} {
		code, out, errs := decode(dir + a + "-20.0.hex")
		require.Equal(t, command.ExitOK, code, errs)
		commandtest.Wants(t, out, "COMPRESSION_REQUEST compress=true", "SERVER_IDENT addrs=v2:127.0.0.1:",
			" compressed by "+a+"\n", " compressed by "+a+" from ")
		code, out, _ = decode("--json", dir+a+"-20.0.hex")
		require.Equal(t, command.ExitOK, code)
		commandtest.Wants(t, out, `"compressed":"`+a+`"`)
	}
}

func TestDecodeBroken(t *testing.T) {
	for file, want := range map[string]string{
		"none-crc-traps.46.hex": "C @399: frame: bad late status",
		"none-crc-traps.48.hex": "C @399: frame: segment crc mismatch in MESSAGE: segment 0 of 41 bytes",
	} {
		code, out, errs := decode(recordings+file, recordings+"none-crc-ping.0.hex")
		if code != command.ExitFault {
			t.Errorf("%s: exit code %d", file, code)
		}
		commandtest.Wants(t, errs, file+": "+want)
		commandtest.Wants(t, out, "frames 8, preamble crcs 8 ok, segment crcs 8 ok\n")
		if strings.Contains(out, "none-crc-ping") {
			t.Error("went on after a frame that does not verify")
		}
	}
}

// record writes a recording of some chunks.
func record(t *testing.T, text string) (file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "recording.hex")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	return file
}

// recorded are the lines of a recording; the first one is a comment, then come two
// banners and the frames.
func recorded(t *testing.T, file string) []string {
	t.Helper()
	whole, err := os.ReadFile(file)
	require.NoError(t, err)
	return strings.SplitAfter(string(whole), "\n")
}

func TestDecodeEndsInside(t *testing.T) {
	lines := recorded(t, recordings+"none-crc-ping.0.hex")
	banner := lines[1]
	for _, c := range []struct {
		lines      int
		more       string
		code       int
		text, errs string
	}{
		{4, "C 26 2 0.1 0101\n", command.ExitOK, "C ends inside a frame, after 2 bytes of it\nframes 1, ", ""},
		{3, "C 26 2 0.1 0101\n", command.ExitFault, "frames 0, ",
			"no complete frame: it ends inside the first frame of C; record more"},
		{3, "C 30 2 0.1 0101\n", command.ExitFault, "",
			"line 4: offset 30, want 26; a recording is described in msgr decode --help"},
		// Banners alone are a connection that one side gave up.
		{3, "", command.ExitOK, "C nothing follows its banner\nS nothing follows its banner\nframes 0, ", ""},
		{1, banner, command.ExitOK,
			"C @0 len 26 BANNER sup=0x1 req=0x0\nC nothing follows its banner\nS sent nothing\nframes 0, ", ""},
		{1, "S 0 3 0.1 636570\n", command.ExitFault, "S ends inside its banner, after 3 bytes of it\n",
			"it ends inside the banner of S; record more"},
		{1, banner + "S 0 3 0.1 636570\n", command.ExitFault, "C nothing follows its banner\nS ends inside its banner",
			"inside the banner of S"},
		{1, "", command.ExitFault, "", "there is nothing in it; a recording is described in msgr decode --help"},
		{0, "", command.ExitFault, "", "there is nothing in it"},
		{0, "# a comment\nnonsense\n", command.ExitFault, "",
			"line 2: 1 fields, want 5; a recording is described in msgr decode --help"},
	} {
		code, out, errs := decode(record(t, strings.Join(lines[:c.lines], "")+c.more))
		if code != c.code {
			t.Errorf("%d %q: exit code %d: %s", c.lines, c.more, code, errs)
		}
		commandtest.Wants(t, out, c.text)
		commandtest.Wants(t, errs, c.errs)
		require.LessOrEqual(t, strings.Count(errs, "\n"), 1)
	}
	code, _, errs := decode(filepath.Join(t.TempDir(), "absent"))
	require.Equal(t, command.ExitFault, code)
	commandtest.Wants(t, errs, "no such file or directory; give the name of a recording")
	code, _, errs = decode(t.TempDir())
	require.Equal(t, command.ExitFault, code)
	commandtest.Wants(t, errs, "is a directory; give the name of a recording")
}
