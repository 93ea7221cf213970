package browser

import (
	"testing"

	"github.com/chromedp/chromedp"

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

// TestPicturesOfTheEngine are those that tell whether the page is good.
func TestPicturesOfTheEngine(t *testing.T) {
	url := engine(t)
	for name, s := range map[string]size{"light": desktop, "dark": night, "phone-light": phone, "phone-dark": phoneNight} {
		t.Run(name, func(t *testing.T) {
			p := open(t, url+"#preset=ring&nodes=8&seed=1&faults=4", s).ready()
			p.eval(`playground.setSpeed(1)`, nil)
			p.until(`playground.player.at > 1e9`)
			p.do(chromedp.Click("#play"))
			p.picture(name)
			p.fits()
			p.clean()
		})
	}
	t.Run("fifty", func(t *testing.T) {
		p := open(t, url+"#preset=gossip&nodes=50&seed=1", desktop).ready()
		p.until(`playground.player.at > 2e8`)
		p.do(chromedp.Click("#play"))
		p.picture("fifty")
		p.clean()
	})
}
