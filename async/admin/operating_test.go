//go:build linux && (amd64 || arm64 || loong64)

package admin

import (
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/dispatch"
	"github.com/stretchr/testify/require"
)

// firsts are the words in backticks in the first column of the tables whose heading begins
// with that word.
func firsts(page, heading string) (all []string) {
	in := false
	for line := range strings.Lines(page) {
		row, ok := strings.CutPrefix(line, "| ")
		if !ok {
			in = false
			continue
		}
		first, _, _ := strings.Cut(row, " |")
		if in && !strings.HasPrefix(first, "---") {
			all = append(all, quotedIn(first)...)
		}
		in = in || first == heading
	}
	return all
}

// TestOperatingCounters: each counter of perf dump has its row in docs/OPERATING.md, once for
// the loggers of its kind, and there is no other row.
func TestOperatingCounters(t *testing.T) {
	text, err := os.ReadFile("../../docs/OPERATING.md")
	require.NoError(t, err)
	page := string(text)
	bands := []string{"events", "high", "normal", "weighted"}
	for _, b := range bands {
		require.Regexp(t, "\nBands: .*`"+b+"`", page)
	}
	discards := []string{}
	for _, l := range []msg.Loss{msg.LossMarkedDown, msg.LossReset, msg.LossRemoteReset, msg.LossShutdown} {
		discards = append(discards, l.String())
	}
	stands := map[string][]string{
		"REASON": firsts(page, "reason"), "LOSS": firsts(page, "loss"), "BAND": bands, "DISCARD": discards,
	}
	var rows []string
	for _, c := range firsts(page, "counter") {
		of := regexp.MustCompile(`[A-Z]+`).FindString(c)
		for _, s := range stands[of] {
			rows = append(rows, strings.Replace(c, of, s, 1))
		}
		if of == "" {
			rows = append(rows, c)
		}
	}

	m := messenger(t, entity.OSD(0), msg.StatefulServer(), echo{})
	m.SetPolicyThrottlers(entity.TypeClient, dispatch.NewThrottle(1), nil)
	d, err := newDesk(&Config{Messengers: []*async.Messenger{m}})
	require.NoError(t, err)
	seen, want := map[string]bool{}, []string{}
	for _, l := range d.loggers() {
		kind, _, _ := strings.Cut(l.name, "-")
		for _, c := range l.counters {
			if !seen[kind+c.name] {
				seen[kind+c.name] = true
				want = append(want, c.name)
			}
		}
	}
	require.Greater(t, len(want), 100)
	for _, c := range want {
		require.Contains(t, rows, c, "docs/OPERATING.md has no row for it")
	}
	require.ElementsMatch(t, want, rows)
}

// goName is a field of Go's: LogLevel, and not THROTTLE.
var goName = regexp.MustCompile(`^[A-Z][a-z]`)

// TestOperatingFields: the same for the fields of messenger dump.
func TestOperatingFields(t *testing.T) {
	text, err := os.ReadFile("../../docs/OPERATING.md")
	require.NoError(t, err)
	var want []string
	var walk func(typ reflect.Type, path string)
	seen := map[reflect.Type]bool{}
	walk = func(typ reflect.Type, path string) {
		for typ.Kind() == reflect.Slice || typ.Kind() == reflect.Pointer {
			typ = typ.Elem()
		}
		switch typ {
		case reflect.TypeFor[throttleJSON]():
			path = "THROTTLE"
		case reflect.TypeFor[latencyJSON]():
			path = "LATENCY"
		}
		if typ.Kind() != reflect.Struct || typ.PkgPath() == "time" {
			want = append(want, path)
			return
		}
		if path == "THROTTLE" || path == "LATENCY" {
			require.Contains(t, string(text), "`"+path+".")
			if seen[typ] {
				return
			}
			seen[typ] = true
		}
		for i := range typ.NumField() {
			name, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
			require.NotEmpty(t, name)
			if path != "" {
				name = path + "." + name
			}
			walk(typ.Field(i).Type, name)
		}
	}
	walk(reflect.TypeFor[messengerJSON](), "")
	rows := firsts(string(text), "field")
	rows = slices.DeleteFunc(rows, goName.MatchString) // the tables of options
	require.ElementsMatch(t, want, rows)
}

// TestOperatingOptions: what config show has is named in the tables of options, in bold if it
// can be set.
func TestOperatingOptions(t *testing.T) {
	text, err := os.ReadFile("../../docs/OPERATING.md")
	require.NoError(t, err)
	_, page, ok := strings.Cut(string(text), "\n## Tuning\n")
	require.True(t, ok)
	named, used := map[string]bool{}, map[string]bool{}
	for line := range strings.Lines(page) {
		if cells := strings.Split(line, "|"); strings.HasPrefix(line, "| `") && strings.TrimSpace(cells[4]) != "" {
			named[strings.TrimSpace(cells[4])] = true
		}
	}
	for _, o := range options {
		name := o.name
		for _, typ := range peerTypes {
			name = strings.Replace(name, "throttle_"+typ.String()+"_", "throttle_TYPE_", 1)
		}
		if strings.HasPrefix(name, "ms_inject_") || strings.HasPrefix(name, "ms_blackhole_") {
			continue // in a row of their own, of AllowFaults
		}
		if o.set != nil {
			name = "**" + name + "**"
		}
		require.True(t, named[name], "no row has %s in its column of config show", name)
		used[name] = true
	}
	for name := range named {
		require.True(t, used[name] || name == "name", "config show has no %s", name)
	}
}
