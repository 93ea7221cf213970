package async_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// ofPrograms are the modules, beside this one, that a program is made of which imports
// async, by what docs/DEPENDENCIES.md says.
var ofPrograms = []string{
	"github.com/cloudwego/netpoll",
	"github.com/cloudwego/gopkg",
	"github.com/bytedance/gopkg",
	"github.com/panjf2000/ants/v2",
	"golang.org/x/sync",
	"golang.org/x/sys",
}

// TestWhatProgramsLink: no more modules than those, and TLS in those programs alone that
// have keys. TLS itself brings no module at all: it is the standard library's.
func TestWhatProgramsLink(t *testing.T) {
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("there is no go command:", err)
	}
	const this = "github.com/asyncmsgr/asyncmsgr"
	tlsauth := this + "/connection/auth/tlsauth"
	for _, c := range []struct {
		pkg      string
		modules  []string
		packages []string // that must not be linked
	}{
		{this + "/async", ofPrograms, []string{"crypto/tls", "crypto/x509", "expvar", "net/http", "testing", tlsauth}},
		{this + "/async/export", ofPrograms, []string{"crypto/tls", "expvar", "net/http", "testing"}},
		{tlsauth, nil, []string{"net/http", "testing"}},
	} {
		out, err := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{.Path}}{{end}} {{.ImportPath}}",
			c.pkg).Output()
		require.NoError(t, err)
		for line := range strings.Lines(string(out)) {
			module, pkg, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ") // "": the standard library
			if module != "" && module != this && !slices.Contains(c.modules, module) {
				t.Errorf("%s links %s of %s: a dependency needs a paragraph in docs/DEPENDENCIES.md",
					c.pkg, pkg, module)
			}
			if slices.Contains(c.packages, pkg) {
				t.Errorf("%s links %s, which it does not need", c.pkg, pkg)
			}
		}
	}
}
