package history

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCheck(t *testing.T) {
	v := func(n uint64) Version { return Version{Counter: n, Writer: 7} }
	w := func(n, begin, end uint64) Op {
		return Op{Write: true, Version: v(n), Value: string(rune('a' + n)), Begin: begin, End: end}
	}
	r := func(n, begin, end uint64) Op {
		o := w(n, begin, end)
		o.Write = false
		if n == 0 {
			o.Version, o.Value = Version{}, ""
		}
		return o
	}
	for name, c := range map[string]struct {
		ops    []Op
		broken string // "" is none
		lost   bool
	}{
		"in order":                 {[]Op{r(0, 1, 2), w(1, 3, 4), r(1, 5, 6), w(2, 7, 8), r(2, 9, 10)}, "", false},
		"while it is written":      {[]Op{w(1, 1, 9), r(0, 2, 3), r(1, 4, 5)}, "", false},
		"not known, and seen":      {[]Op{w(1, 1, 0), r(1, 4, 5)}, "", false},
		"not known, and not seen":  {[]Op{w(1, 1, 0), r(0, 4, 5)}, "", false},
		"lost":                     {[]Op{w(1, 1, 2), r(0, 3, 4)}, "after", true},
		"older than acknowledged":  {[]Op{w(1, 1, 2), w(2, 3, 4), r(1, 5, 6)}, "after", true},
		"older than what was read": {[]Op{w(1, 1, 2), w(2, 3, 0), r(2, 4, 5), r(1, 6, 7)}, "after", true},
		"a write under another":    {[]Op{w(2, 1, 2), w(1, 3, 4)}, "after", false},
		"twice":                    {[]Op{w(1, 1, 2), w(1, 3, 4)}, "two writes", false},
		"never written":            {[]Op{r(1, 1, 2)}, "nobody wrote", false},
		"before it was written":    {[]Op{r(1, 1, 2), w(1, 3, 4)}, "before it was written", false},
	} {
		t.Run(name, func(t *testing.T) {
			var h History
			h.ops = c.ops
			broken := h.Check()
			if c.broken == "" {
				require.Empty(t, broken)
				return
			}
			require.NotEmpty(t, broken)
			i := slices.IndexFunc(broken, func(b Breach) bool { return strings.Contains(b.What, c.broken) })
			require.GreaterOrEqual(t, i, 0, "%v", broken)
			require.Equal(t, c.lost, broken[i].Lost)
		})
	}
}
