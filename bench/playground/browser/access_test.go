package browser

import (
	"math"
	"strconv"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// TestEveryControlHasAName, and nothing that can be pressed is smaller than WCAG 2.2 asks (2.5.8).
func TestEveryControlHasAName(t *testing.T) {
	for name, s := range map[string]size{"desktop": desktop, "phone": phone} {
		t.Run(name, func(t *testing.T) {
			p := open(t, mock(t), s).ready()
			for _, tab := range []string{"tour", "list", "text", "events"} {
				p.do(chromedp.Click("#tab-" + tab))
				var bad []string
				p.eval(`$$("button, input, select, textarea, a, [tabindex='0']").filter((e) => {
					const box = e.getBoundingClientRect();
					if (!box.width || e.closest(".skip")) return false;
					const labels = [...(e.labels ?? [])].map((l) => l.textContent.trim()).join("");
					const name = e.getAttribute("aria-label") || e.textContent.trim() || labels;
					return !name || box.height < 20 || box.width < 20;
				}).map((e) => e.outerHTML.slice(0, 120))`, &bad)
				require.Empty(t, bad)
			}
			p.clean()
		})
	}
}

// TestContrast: text has 4.5 to 1, what is drawn 3 to 1 (WCAG 1.4.3, 1.4.11), in both schemes.
func TestContrast(t *testing.T) {
	url := mock(t)
	for name, s := range map[string]size{"light": desktop, "dark": night} {
		t.Run(name, func(t *testing.T) {
			p := open(t, url, s).ready()
			var c map[string]string
			p.eval(`(() => { const s = getComputedStyle(document.documentElement);
				return Object.fromEntries(["bg", "panel", "sunk", "ink", "soft", "accent", "accent-ink", "bad", "bad-weak",
					"good", "node", "node-ink", "node-line", "prio-low", "prio-default", "prio-high", "prio-highest",
					"tag-handshake", "tag-recovery", "tag-small", "line-strong",
				].map((k) => [k, s.getPropertyValue("--" + k).trim()])); })()`, &c)
			check := func(least float64, on string, names ...string) {
				for _, n := range names {
					require.GreaterOrEqual(t, contrast(t, c[n], c[on]), least, "%s %s on %s %s", n, c[n], on, c[on])
				}
			}
			check(4.5, "bg", "ink", "soft", "bad")
			check(4.5, "panel", "ink", "soft", "accent", "bad", "good")
			check(4.5, "sunk", "ink", "soft")
			check(4.5, "bad-weak", "bad")
			check(4.5, "accent", "accent-ink")
			check(4.5, "node", "node-ink")
			check(2.4, "bg", "prio-high") // it has a ring as well
			check(3, "bg", "node-line", "prio-low", "prio-default", "prio-highest", "tag-handshake", "tag-recovery",
				"tag-small")
			check(3, "panel", "line-strong")
			p.clean()
		})
	}
}

// contrast is that of WCAG, of two colours such as #0a5c9c.
func contrast(t *testing.T, a, b string) float64 {
	t.Helper()
	x, y := luminance(t, a), luminance(t, b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

func luminance(t *testing.T, colour string) (l float64) {
	t.Helper()
	require.Len(t, colour, 7, "a colour %q", colour)
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		n, err := strconv.ParseUint(colour[1+2*i:3+2*i], 16, 8)
		require.NoError(t, err)
		v := float64(n) / 255
		if v <= 0.04045 {
			l += weight * v / 12.92
		} else {
			l += weight * math.Pow((v+0.055)/1.055, 2.4)
		}
	}
	return l
}

// TestLessMotion: who prefers less of it starts at a standstill, and sees two pictures a second.
func TestLessMotion(t *testing.T) {
	s := desktop
	s.calm = true
	p := open(t, mock(t), s).ready()
	require.Equal(t, "false 0", p.text("`${playground.player.playing} ${playground.player.at}`"))
	p.do(chromedp.Click("#play"))
	p.until(`playground.player.at > 2e7`)
	p.eval(`(() => { const g = CanvasRenderingContext2D.prototype; const clear = g.clearRect; globalThis.drawn = 0;
		g.clearRect = function (...a) { if (this.canvas.id === "canvas") globalThis.drawn++; return clear.apply(this, a); };
		globalThis.frames = 0; const f = () => { globalThis.frames++; requestAnimationFrame(f); }; requestAnimationFrame(f); })()`, nil)
	p.until(`globalThis.frames > 60`)
	var drawn, frames int
	p.eval(`globalThis.drawn`, &drawn)
	p.eval(`globalThis.frames`, &frames)
	require.Less(t, drawn*4, frames, "pictures drawn, of so many that could be")
	p.clean()
}
