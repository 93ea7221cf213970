package main

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// linked are the modules that msgr is made of. What is compared and what draws the report
// is built with msgrbench alone: the first demo on a machine waits for all that is here.
var linked = []string{
	"github.com/asyncmsgr/asyncmsgr",
	"github.com/asyncmsgr/asyncmsgr/async/compress/codecs",
	"github.com/asyncmsgr/asyncmsgr/bench",
	"github.com/klauspost/compress", // msgr decode
	"github.com/pierrec/lz4/v4",
	"github.com/alecthomas/kong",
	"github.com/HdrHistogram/hdrhistogram-go",
	"github.com/cloudwego/netpoll",
	"github.com/cloudwego/gopkg",
	"github.com/bytedance/gopkg",
	"github.com/panjf2000/ants/v2",
	// msgr top's terminal:
	"charm.land/bubbletea/v2",
	"github.com/charmbracelet/colorprofile",
	"github.com/charmbracelet/ultraviolet",
	"github.com/charmbracelet/x/ansi",
	"github.com/charmbracelet/x/term",
	"github.com/charmbracelet/x/termios",
	"github.com/charmbracelet/x/windows",
	"github.com/clipperhouse/displaywidth",
	"github.com/clipperhouse/uax29/v2",
	"github.com/lucasb-eyer/go-colorful",
	"github.com/mattn/go-runewidth",
	"github.com/muesli/cancelreader",
	"github.com/rivo/uniseg",
	"github.com/xo/terminfo",
	"golang.org/x/sync",
	"golang.org/x/sys",
}

// rivals are prefixes of the modules that belong to bench/compare.
var rivals = []string{"github.com/nats-io/", "google.golang.org/grpc", "storj.io/drpc", "gonum.org/"}

func TestMsgrIsSmall(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "-f",
		"{{with .Module}}{{.Path}}{{end}} {{.ImportPath}}", ".").Output()
	require.NoError(t, err)
	for line := range strings.Lines(string(out)) {
		module, pkg, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		if module != "" && !slices.Contains(linked, module) { // "" is the standard library
			t.Errorf("msgr links %s: what it needs belongs to bench/compare, or %s into the list of this test",
				pkg, module)
		}
		if pkg == "testing" {
			t.Errorf("msgr links %s, which is large and not needed", pkg)
		}
	}
	mod, err := os.ReadFile("../../go.mod")
	require.NoError(t, err)
	for _, r := range rivals {
		require.NotContains(t, string(mod), r, "bench/go.mod: that is for bench/compare/go.mod")
	}
}
