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

// TestPictures are those that tell whether the page is good; nothing is beyond its right edge.
func TestPictures(t *testing.T) {
	url := engine(t)
	for _, c := range []struct {
		name string
		size size
		tabs []string
	}{
		{"light", desktop, []string{"list", "text", "events"}}, {"dark", night, nil},
		{"phone-light", phone, nil}, {"phone-dark", phoneNight, []string{"list", "text", "events"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := open(t, url+"#preset=ring&nodes=8&seed=1&faults=4", c.size).ready()
			p.eval(`playground.setSpeed(1)`, nil)
			p.until(`playground.player.at > 1e9`)
			p.do(chromedp.Click("#play"))
			p.picture(c.name)
			p.fits()
			for _, tab := range c.tabs {
				p.eval(`$("tab-`+tab+`").click()`, nil)
				p.until(`$$("#` + tab + `-panel tr, #` + tab + `-panel li, #text-panel:not([hidden])").length > 0`)
				if c.size.mobile {
					p.eval(`$("tabs").scrollIntoView()`, nil)
				}
				p.picture(c.name + "-" + tab)
				p.fits()
			}
			if c.size.mobile {
				p.eval(`scrollTo(0, 0)`, nil)
				p.do(chromedp.Click("#setup-toggle"))
				p.picture(c.name + "-setup")
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
	p.eval(`$$("body *").filter((e) => !e.closest(".tools, .editor, .chart, .scroll, .unseen, svg"))
		.filter((e) => e.getBoundingClientRect().right > innerWidth + 1)
		.map((e) => e.tagName + "#" + e.id + "." + e.className)`, &over)
	require.Empty(p.t, over, "elements beyond the right edge")
}
