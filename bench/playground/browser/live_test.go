package browser

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"
)

// demo is msgr demo --http, and its page.
type demo struct {
	t   *testing.T
	url string
	cmd *exec.Cmd
	out bytes.Buffer // after the page's address; once read has ended
	end chan error   // of what reads it
}

var pageAddress = regexp.MustCompile(`the page is at (http://\S+/);`)

// startDemo runs it without cuts of its own.
func startDemo(t *testing.T) *demo {
	t.Helper()
	d := &demo{t: t, end: make(chan error, 1)}
	d.cmd = exec.Command(build(t, "msgr", "./bench/cmd/msgr", nil, nil), "demo", "--http", ":0",
		"--http-every", "200ms", "--cut-rate", "0")
	out, err := d.cmd.StdoutPipe()
	require.NoError(t, err)
	d.cmd.Stderr = os.Stderr
	require.NoError(t, d.cmd.Start())
	t.Cleanup(func() { _ = d.cmd.Process.Kill() }) // unless it has ended
	lines := bufio.NewScanner(out)
	for d.url == "" && lines.Scan() {
		if m := pageAddress.FindStringSubmatch(lines.Text()); m != nil {
			d.url = m[1]
		}
	}
	require.NotEmpty(t, d.url, "the demo says where its page is")
	go func() {
		for lines.Scan() {
			d.out.WriteString(lines.Text() + "\n")
		}
		d.end <- d.cmd.Wait()
	}()
	return d
}

// interrupt ends it: every promise was kept.
func (d *demo) interrupt() {
	d.t.Helper()
	require.NoError(d.t, d.cmd.Process.Signal(os.Interrupt))
	select {
	case <-d.end: // with the code of an interruption
	case <-time.After(patience):
		require.Fail(d.t, "the demo does not end")
	}
	require.Regexp(d.t, `demo: interrupted, ok so far .* lost=0 duplicated=0`, d.out.String())
}

// live opens the page, and waits for numbers.
func (d *demo) live(t *testing.T, s size) *page {
	p := open(t, d.url, s).ready()
	p.until(`live.state.rates.sent > 0 && live.state.latency.sendToAck.n > 0`)
	return p
}

// happened waits for a line of the timeline that says what is wanted, beyond the first so many.
func (p *page) happened(words string) {
	p.t.Helper()
	p.until(`$$("#events li").some((e) => e.textContent.includes("` + words + `"))`)
}

// TestLive: the page of a demo shows what happens, breaks it, and shows it heal.
func TestLive(t *testing.T) {
	d := startDemo(t)
	t.Run("numbers move", func(t *testing.T) {
		p := d.live(t, desktop)
		sent := p.text(`live.state.total.counts.sent`)
		p.until(`live.state.total.counts.sent > ` + sent)
		p.until(`words("#chart-flow dd").endsWith("/s")`)
		p.until(`$$("#chart-flow path").some((e) => e.getAttribute("d").length > 20)`)
		p.until(`$$("#ring [data-node]").length === 16 && $$("#ring [data-link]").length > 30`)
		p.onlyItself()
		p.clean()
	})
	t.Run("a click cuts", func(t *testing.T) {
		p := d.live(t, desktop)
		p.click(p.middle("osd.0", "osd.1"))
		p.until(`button("#card", "Cut") !== undefined`)
		p.press("#card", "Cut")
		p.happened("osd.0 – osd.1 cut")
		p.happened("osd.0 – osd.1 reconnected")
		p.happened("from a page")
		p.until(`["cut", "back", "act"].every((lane) => $$("#strip ." + lane + " path")[0].getAttribute("d") !== "")`)
		p.picture("live-light")
		p.onlyItself()
		p.clean()
	})
	t.Run("stalled and unplugged", func(t *testing.T) {
		p := d.live(t, night)
		p.click(p.ringAt("osd.1"))
		p.press("#card", "Stall")
		p.until(`live.state.nodes.find((n) => n.name === "osd.1").queue.some((n) => n > 0)`)
		p.press("#card", "Resume")
		p.press("#card", "Unplug")
		p.until(`live.state.links.every((l) => l.up === 0 || l.a !== "osd.1" && l.b !== "osd.1")`)
		p.until(`$$("#ring .link.down").length > 3`)
		p.picture("live-dark")
		p.readable()
		p.press("#card", "Plug in")
		p.until(`live.state.links.every((l) => l.up === l.conns) && $$("#ring .link.down").length === 0`)
		p.happened("reconnected")
		p.clean()
	})
	t.Run("killed", func(t *testing.T) {
		p := d.live(t, desktop)
		p.click(p.ringAt("client.3"))
		p.press("#card", "Kill")
		p.until(`live.state.nodes.find((n) => n.name === "client.3").condition === "killed"`)
		p.until(`!live.state.links.some((l) => l.b === "client.3") && words("#card h2").includes("killed")`)
		p.picture("live-killed")
		p.press("#card", "Restart")
		p.until(`live.state.links.filter((l) => l.b === "client.3" && l.up === 1).length === 3`)
		p.happened("Restart: client.3, from a page")
		p.happened("client.3: ") // new connections
		p.clean()
	})
	t.Run("keyboard alone", func(t *testing.T) {
		p := d.live(t, desktop)
		found := false
		for range 10 {
			p.do(chromedp.KeyEvent(kb.Tab))
			if found = p.text(`document.activeElement.dataset.node ?? ""`) != ""; found {
				break
			}
		}
		require.True(t, found, "the ring is not reached by tab")
		for range 32 { // twice around
			if p.text(`document.activeElement.dataset.node`) == "osd.2" {
				break
			}
			p.do(chromedp.KeyEvent(kb.ArrowRight))
		}
		p.do(chromedp.KeyEvent(kb.Enter))
		p.until(`document.activeElement.tagName === "H2" && document.activeElement.textContent.startsWith("osd.2")`)
		p.do(chromedp.KeyEvent(kb.Tab + kb.Tab + kb.Tab + kb.Tab)) // by the button that chooses nothing
		p.until(`document.activeElement.textContent === "Cut all"`)
		p.do(chromedp.KeyEvent(kb.Enter))
		p.happened("osd.2, from a page")
		p.until(`$("live").textContent !== ""`) // a screen reader is told
		p.do(chromedp.KeyEvent(" "))            // the focus is where it was
		p.happened("reconnected")
		p.readable()
		p.clean()
	})
	t.Run("phone", func(t *testing.T) {
		p := d.live(t, phone)
		p.fits()
		p.eval(`$("pause").click()`, nil) // a picture of what is drawn anew all the time may take long
		p.picture("live-phone")
		for _, tab := range []string{"links", "sessions", "groups", "nodes"} {
			p.eval(`$("tab-`+tab+`").click()`, nil)
			p.until(`$$("#` + tab + `-panel tbody tr").length > 0`)
			p.fits()
		}
		p.eval(`$("charts").scrollIntoView()`, nil)
		p.picture("live-phone-charts")
		p.clean()
	})
	t.Run("tables", func(t *testing.T) {
		p := d.live(t, size{width: 1440, height: 1500, dark: true, calm: true})
		p.eval(`$("tab-sessions").click()`, nil)
		p.eval(`$("find").value = "osd.2"; $("find").dispatchEvent(new Event("input"))`, nil)
		p.until(`$$("#sessions-panel tbody tr").length > 0 &&
			$$("#sessions-panel tbody th").every((e) => e.textContent.includes("osd.2"))`)
		p.press("#sessions-panel", "Cut")
		p.until(`live.state.sessions.some((s) => s.error?.includes("on purpose"))`)
		p.picture("live-tables")
		p.eval(`$("pause").click()`, nil)
		at := p.text(`words("#tiles b")`)
		was := p.text(`live.state.at`)
		p.until(`live.state.at > ` + was)
		require.Equal(t, at, p.text(`words("#tiles b")`), "it is paused")
		p.clean()
	})
	d.interrupt()
}

// ringAt is where a node of the ring is, in the window.
func (p *page) ringAt(name string) (at point) {
	p.t.Helper()
	p.eval(fmt.Sprintf(`(() => {
		const [box, n] = [$("ring").getBoundingClientRect(), live.ring.at(%q)];
		return {X: box.left + n.x, Y: box.top + n.y};
	})()`, name), &at)
	return at
}

// middle is that of the line between two of them.
func (p *page) middle(a, b string) point {
	p.t.Helper()
	x, y := p.ringAt(a), p.ringAt(b)
	return point{(x.X + y.X) / 2, (x.Y + y.Y) / 2}
}

// press clicks a button by its words, when it is there.
func (p *page) press(within, words string) {
	p.t.Helper()
	js := `button("` + within + `", "` + words + `")`
	p.until(js + ` !== undefined`)
	p.eval(js+`.click()`, nil)
}

// onlyItself fails the test if the page has asked another host, or was kept from it.
func (p *page) onlyItself() {
	p.t.Helper()
	var others []string
	p.eval(`performance.getEntriesByType("resource").map((e) => e.name)
		.filter((n) => !n.startsWith(location.origin + "/"))`, &others)
	require.Empty(p.t, others)
}

// readable fails the test if words have less contrast than 4.5 to 1 with what is behind them, or a
// control has no name.
func (p *page) readable() {
	p.t.Helper()
	var bad []string
	p.eval(`(() => {
		const rgb = (c) => c.match(/^rgba?\(([\d.]+), ([\d.]+), ([\d.]+)(?:, ([\d.]+))?\)$/)?.slice(1).map((x) => Number(x ?? 1));
		const light = (c) => c.slice(0, 3).map((v) => v / 255).map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
			.reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
		const behind = (e) => {
			for (; e; e = e.parentElement) {
				const c = rgb(getComputedStyle(e).backgroundColor);
				if (!c) return null;
				if (c[3] > 0) return c;
			}
			return [255, 255, 255];
		};
		const faint = $$("body *").filter((e) => !e.closest("svg, .unseen, .skip, noscript")
			&& [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim()) && e.getBoundingClientRect().width)
			.filter((e) => {
				const [a, b] = [rgb(getComputedStyle(e).color), behind(e)];
				if (!a || !b) return false;
				const [x, y] = [light(a), light(b)];
				return (Math.max(x, y) + 0.05) / (Math.min(x, y) + 0.05) < 4.5;
			});
		const nameless = $$("button, input, a, [tabindex='0']").filter((e) => !e.getAttribute("aria-label") && !e.getAttribute("aria-labelledby")
			&& !e.textContent.trim() && !(e.labels?.length));
		return [...faint, ...nameless].map((e) => e.outerHTML.slice(0, 120));
	})()`, &bad)
	require.Empty(p.t, bad)
}
