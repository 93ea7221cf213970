package async

import (
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection"
	"github.com/asyncmsgr/asyncmsgr/connection/frame"
	"github.com/asyncmsgr/asyncmsgr/eventloop"
	"github.com/stretchr/testify/require"
)

// optionRows are the defaults in a table of docs/OPERATING.md, by the field that they are of.
func optionRows(t *testing.T, section string) map[string]string {
	t.Helper()
	text, err := os.ReadFile("../docs/OPERATING.md")
	require.NoError(t, err)
	_, page, ok := strings.Cut(string(text), "\n### "+section+"\n")
	require.True(t, ok)
	page, _, _ = strings.Cut(page, "\n#")
	rows := map[string]string{}
	for line := range strings.Lines(page) {
		if cells := strings.Split(line, "|"); strings.HasPrefix(line, "| `") {
			field := strings.Trim(cells[1], " `")
			require.NotContains(t, rows, field, "twice")
			rows[field] = strings.TrimSpace(cells[2])
		}
	}
	return rows
}

// inWords are defaults that no number says: they depend on the machine, on another field, or are
// no values at all. Each is checked below, or in the tests of what it is about.
var inWords = map[string]string{
	"Name": "client.?", "AuthName": "Name", "Nonce": "random", "Advertise": "none", "Stack": "DefaultStack",
	"Executor": "DefaultExecutor", "Clock": "the stack's", "Rand": "crypto/rand", "Logger": "slog.Default()",
	"AuthClient": "none", "AuthServer": "none", "AuthStepsMax": "one for each processor", "Authorize": "everybody",
	"DispatchWidth": "4, or the workers if more", "DispatchWidthMax": "16 times DispatchWidth", "Observe": "none",
	"Compression.Algorithms": "none", "Compression.PeerTypes": "all",
	"BindBeforeConnect": "none", "ThrottleMessages": "none", "ThrottleBytes": "none",
	"ConnThrottleBytes": "a quarter of DispatchThrottleBytes", "FeaturesSupported": "FeaturesAll",
}

// asText is a default as the page has it.
func asText(v reflect.Value) string {
	switch x := v.Interface().(type) {
	case time.Duration:
		if x == 0 {
			return "0"
		}
		return x.String()
	case bool, fmt.Stringer:
		return fmt.Sprint(x)
	}
	n := uint64(0)
	if v.CanInt() {
		n = uint64(v.Int())
	} else {
		n = v.Uint()
	}
	for _, u := range []struct {
		shift uint
		name  string
	}{{30, "GiB"}, {20, "MiB"}, {10, "KiB"}} {
		if n >= 1<<u.shift && n%(1<<u.shift) == 0 {
			return fmt.Sprintf("%d %s", n>>u.shift, u.name)
		}
	}
	return fmt.Sprint(n)
}

// counted are numbers that are no bytes.
var counted = []string{
	"SendQueueMessages", "RekeyUnits", "StandbyMax", "HandshakesMax", "HandshakesMaxPerHost", "EventsMax",
	"ConnThrottleMessages",
}

// TestOperatingDefaults: each field of Config, and of what it has in it, and of msg.Policy has
// a row in docs/OPERATING.md, with the default that the code has, and there is no other row.
func TestOperatingDefaults(t *testing.T) {
	l := newLab(t)
	cfg, err := Config{Stack: l.stack, Executor: l.pool}.withDefaults()
	require.NoError(t, err)
	sess := reflect.ValueOf(cfg.session())
	require.Equal(t, inWords["Name"], cfg.Name.String())
	require.Equal(t, max(4, l.stack.NumWorkers()), cfg.DispatchWidth)
	require.Equal(t, 16*cfg.DispatchWidth, cfg.DispatchWidthMax)
	share := connection.BoundOf(&msg.Policy{}, 4000)
	require.EqualValues(t, 1000, share.Bytes)
	cfg.ListenBacklog = l.server(entity.OSD(0), msg.StatefulServer()).Settings().ListenBacklog

	check := func(rows map[string]string, field string, v reflect.Value) {
		want, given := inWords[field], rows[field]
		if want == "" && slices.Contains(counted, field) {
			want = fmt.Sprint(v.Interface())
		} else if want == "" {
			want = asText(v)
		}
		require.Equal(t, want, given, "the default of %s in docs/OPERATING.md", field)
		delete(rows, field)
	}
	rows := optionRows(t, "async.Config")
	var walk func(v reflect.Value, prefix string)
	walk = func(v reflect.Value, prefix string) {
		for i := range v.NumField() {
			f := v.Type().Field(i)
			x := v.Field(i)
			if s := sess.FieldByName(f.Name); prefix == "" && s.IsValid() && s.Type() == x.Type() {
				x = s // sessions have their defaults from their own package
			}
			switch {
			case !f.IsExported():
			case f.Type == reflect.TypeFor[Compression](), f.Type == reflect.TypeFor[frame.Limits](),
				f.Type == reflect.TypeFor[eventloop.SocketOptions]():
				walk(x, f.Name+".")
			default:
				check(rows, prefix+f.Name, x)
			}
		}
	}
	walk(reflect.ValueOf(cfg), "")
	require.Empty(t, rows, "rows of what Config does not have")

	rows = optionRows(t, "msg.Policy")
	p := reflect.ValueOf(msg.Policy{ConnThrottleMessages: int(share.Messages)})
	for i := range p.NumField() {
		check(rows, p.Type().Field(i).Name, p.Field(i))
	}
	require.Empty(t, rows, "rows of what msg.Policy does not have")
}
