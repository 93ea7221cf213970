package entity

import (
	"testing"

	"github.com/asyncmsgr/asyncmsgr/async/denc"
)

// FuzzNames: each text is a name or not, and one that is reads again as the same; so does
// each wire form.
func FuzzNames(f *testing.F) {
	for _, s := range []string{"osd.3", "client.admin", "client.?", "mon.a.b", "mds.", ".", "osd.-1", "type7.5",
		"osd.9223372036854775808", "client.\x00\n"} {
		f.Add(s)
	}
	f.Add(string(AuthName{TypeClient, "admin"}.Append(nil)))
	f.Add(string(OSD(3).Append(nil)))
	f.Fuzz(func(t *testing.T, s string) {
		if n, err := ParseName(s); err == nil {
			if again, err := ParseName(n.String()); err != nil || again != n {
				t.Fatalf("%q is %v, and that is %v, %v", s, n, again, err)
			}
		}
		if a, err := ParseAuthName(s); err == nil {
			if again, err := ParseAuthName(a.String()); err != nil || again != a {
				t.Fatalf("%q is %v, and that is %v, %v", s, a, again, err)
			}
			if n, err := ParseName(s); err == nil && n.Type != TypeClient && n.Num >= 0 && !a.Is(n, 0) {
				if _, isNumber := a.number(); isNumber {
					t.Fatalf("%v is not %v", a, n)
				}
			}
		}
		r := denc.NewReader([]byte(s))
		if a := ConsumeAuthName(&r); r.End() == nil && string(a.Append(nil)) != s {
			t.Fatalf("%q is %v, which is %q", s, a, a.Append(nil))
		}
		r = denc.NewReader([]byte(s))
		if n := ConsumeName(&r); r.End() == nil && string(n.Append(nil)) != s {
			t.Fatalf("%q is %v, which is %q", s, n, n.Append(nil))
		}
	})
}
