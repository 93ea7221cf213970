package browser

import (
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	night      = size{width: 1440, height: 900, dark: true}
	phone      = size{width: 390, height: 844, mobile: true}
	phoneNight = size{width: 390, height: 844, mobile: true, dark: true}
)

func TestPictures(t *testing.T) {
	url := mock(t)
	for name, s := range map[string]size{"light": desktop, "dark": night, "phone-light": phone, "phone-dark": phoneNight} {
		t.Run(name, func(t *testing.T) {
			p := open(t, url, s).ready()
			p.until(`parseFloat(document.getElementById("clock").textContent) > 0.2`)
			p.picture("mock-" + name)
			p.fits()
			for _, tab := range []string{"list", "text", "events"} {
				p.eval(`document.getElementById("tab-`+tab+`").click()`, nil)
				p.until(`document.getElementById("` + tab + `-panel").hidden === false`)
				p.eval(`new Promise((done) => setTimeout(done, 400))`, nil)
				p.picture("mock-" + name + "-" + tab)
				p.fits()
			}
			p.clean()
		})
	}
}

// fits fails the test when the page is wider than the window.
func (p *page) fits() {
	p.t.Helper()
	var over []string
	p.eval(`[...document.querySelectorAll("body *")].filter((e) => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest(".tools, .editor, .chart, .unseen, svg"))
		.map((e) => e.tagName + "#" + e.id + "." + e.className)`, &over)
	require.Empty(p.t, over, "elements beyond the right edge")
}
