package browser

import (
	"encoding/base64"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// link is the fragment with a text.
func link(text string) string {
	return "#seed=1&s=t." + base64.RawURLEncoding.EncodeToString([]byte(text))
}

// runs waits until the default scenario plays.
func (p *page) runs() {
	p.t.Helper()
	p.until(`playground.player.at > 0 && $("preset").value === playground.setup.first.name`)
}

func TestALinkWithGarbage(t *testing.T) {
	p := open(t, mock(t), desktop).ready()
	text := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	for name, c := range map[string]struct{ fragment, says string }{
		"no part that is known": {"#lorem=ipsum", "“lorem”"},
		"noise":                 {"#%E0%A4%A", "cannot be read"},
		"no base64":             {"#seed=1&s=t.%21%21", "base64url"},
		"no deflate":            {"#seed=1&s=z.AAAA", "unpacked"},
		"no UTF-8":              {"#seed=1&s=t._____w", "unpacked"},
		"no seed":               {"#seed=99999999999999999999&s=t." + text("node a"), "64 bits"},
		"no time":               {"#seed=1&at=-5&s=t." + text("node a"), "nanoseconds"},
		"no preset":             {"#preset=nothing", "“nothing”"},
		"only a seed":           {"#seed=7", "neither a scenario"},
		"an unknown step":       {"#seed=1&s=t." + text("node a\n  frobnicate a"), "line 2, column 3"},
		"markup":                {"#%3Cimg%20src=x%20onerror=alert(1)%3E", "cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			p.t = t
			p.eval(`document.querySelector("#alert p").textContent = ""; playground.player.at = 0; 0`, nil)
			p.eval(`location.hash = "`+c.fragment+`"`, nil)
			p.until(`words("#alert p") !== ""`)
			p.runs()
			said := p.text(`words("#alert p")`)
			require.Contains(t, said, "This link cannot be read")
			require.Contains(t, said, c.says)
			require.Contains(t, said, "the default instead")
			require.Equal(t, "false", p.text(`$("alert").hidden`))
			p.clean()
		})
	}
}

// TestABadLinkAtFirst is one that the page is opened with.
func TestABadLinkAtFirst(t *testing.T) {
	p := open(t, mock(t)+link("node a\n  frobnicate a"), phone).ready()
	p.runs()
	require.Contains(t, p.text(`words("#alert p")`),
		`line 2, column 3 of its scenario: unknown step "frobnicate"`)
	p.picture("bad-link")
	p.fits()
	p.clean()
}

// TestALinkThatInflates: a small link cannot become a large text.
func TestALinkThatInflates(t *testing.T) {
	p := open(t, mock(t), desktop).ready()
	p.eval(`(async () => {
		const bytes = new Uint8Array(64 << 20);
		const z = new Uint8Array(await new Response(new Blob([bytes]).stream().pipeThrough(new CompressionStream("deflate-raw"))).arrayBuffer());
		const s = btoa(Array.from(z, (b) => String.fromCharCode(b)).join("")).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
		location.hash = "#seed=1&s=z." + s;
	})()`, nil)
	p.until(`words("#alert p").includes("64 KiB") || words("#alert p").includes("too long")`)
	p.runs()
	p.clean()
}

func TestNoWebAssembly(t *testing.T) {
	p := open(t, mock(t), size{width: 390, height: 844, mobile: true, before: "delete globalThis.WebAssembly"})
	require.Equal(t, "undefined", p.text(`typeof WebAssembly`))
	p.until(`$("dead").hidden === false`)
	require.Contains(t, p.text(`$("dead").textContent`), "This browser has no WebAssembly")
	require.Equal(t, "true", p.text(`document.querySelector("main").hidden`))
	p.picture("no-webassembly")
	p.clean()
}

// TestNoEngine: the page says what is missing when its WebAssembly is not there.
func TestNoEngine(t *testing.T) {
	none := map[string]string{"/wasm_exec.js": "testdata/none.js", "/playground.wasm": "testdata/none.wasm"}
	p := open(t, serve(t, none), desktop)
	p.until(`$("dead").hidden === false`)
	require.Contains(t, p.text(`$("dead").textContent`), "The simulator has stopped: ")
}

func TestAnUnknownStepInThePage(t *testing.T) {
	p := open(t, mock(t), desktop).ready()
	p.do(chromedp.Click("#tab-text"))
	p.eval(`type("node a\nnode b\n  frobnicate a b\n")`, nil)
	p.do(chromedp.Click("#run-text"))
	p.until(`$("text-error").hidden === false`)
	require.Equal(t, `Line 3, column 3: unknown step "frobnicate"`, p.text(`$("text-error").textContent`))
	require.Equal(t, "frobnicate", p.text(`$("text").value.slice($("text").selectionStart, $("text").selectionEnd)`))
	require.Equal(t, "3", p.text(`words("#lines b")`))
	p.picture("unknown-step")
	p.clean()
}

// TestAViolation stops the run and shows what led to it.
func TestAViolation(t *testing.T) {
	p := open(t, mock(t)+link("node a\n# violate\n"), desktop).ready()
	p.eval(`playground.setSpeed(10)`, nil)
	p.until(`$("chart-box").open`)
	require.Equal(t, "false", p.text(`playground.player.playing`))
	require.Contains(t, p.text(`$("chart-box").textContent`), "arrived twice")
	require.Equal(t, "9", p.text(`$$("#chart-box svg path, #chart-box svg circle").length`))
	p.picture("violation")
	p.eval(`document.querySelector("#chart-box button").click()`, nil)
	p.until(`!$("chart-box").open`)
	p.picture("violation-closed")
	p.clean()
}
