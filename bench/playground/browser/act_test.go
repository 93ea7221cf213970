package browser

import (
	"fmt"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"
)

// point is a place of the picture in the window.
type point struct{ X, Y float64 }

// nodeAt is where a node is drawn.
func (p *page) nodeAt(name string) (at point) {
	p.t.Helper()
	p.eval(fmt.Sprintf(`(() => {
		const box = $("canvas").getBoundingClientRect();
		const n = playground.scene.layout.at.get(%q);
		return {X: box.left + n.x, Y: box.top + n.y};
	})()`, name), &at)
	return at
}

// between is the middle of a session's line.
func (p *page) between(a, b string) point {
	p.t.Helper()
	x, y := p.nodeAt(a), p.nodeAt(b)
	return point{(x.X + y.X) / 2, (x.Y + y.Y) / 2}
}

func (p *page) click(at point) {
	p.t.Helper()
	p.do(chromedp.MouseClickXY(at.X, at.Y))
}

// drag draws a line with the mouse.
func (p *page) drag(points ...point) {
	p.t.Helper()
	p.do(chromedp.MouseEvent("mousePressed", points[0].X, points[0].Y, chromedp.ButtonLeft))
	for _, at := range points[1:] {
		p.do(chromedp.MouseEvent("mouseMoved", at.X, at.Y, chromedp.ButtonLeft))
	}
	end := points[len(points)-1]
	p.do(chromedp.MouseEvent("mouseReleased", end.X, end.Y, chromedp.ButtonLeft))
}

// acted waits until the last step that was clicked is a line.
func (p *page) acted(line string) {
	p.t.Helper()
	p.until(fmt.Sprintf(`$("text").value.trimEnd().split("\n").includes(%q)`, line))
}

func (p *page) tool(id string) {
	p.t.Helper()
	p.do(chromedp.Click(`[data-tool=` + id + `]`))
	p.until(`document.querySelector("[data-tool=` + id + `]").getAttribute("aria-checked") === "true"`)
}

func TestTheMouseBreaksThings(t *testing.T) {
	p := open(t, mock(t), desktop).ready()
	p.tool("kill")
	p.click(p.nodeAt("n3"))
	p.acted("kill n3")
	p.tool("pause")
	p.click(p.nodeAt("n2"))
	p.acted("pause n2")
	p.tool("clock")
	p.click(p.nodeAt("n5"))
	p.acted("clock n5 skew=1h")
	p.tool("stall")
	p.click(p.between("n8", "n1"))
	p.acted("stall n8 n1")
	p.tool("cut")
	p.click(p.between("n8", "n1"))
	p.acted("cut n8 n1")
	p.tool("part")
	// Around the three at the right: n2, n3, n4.
	a, b, c := p.nodeAt("n2"), p.nodeAt("n3"), p.nodeAt("n4")
	p.drag(point{a.X - 40, a.Y - 40}, point{b.X + 40, a.Y - 40}, point{b.X + 40, b.Y}, point{b.X + 40, c.Y + 40},
		point{c.X - 40, c.Y + 40}, point{a.X - 40, a.Y})
	p.acted("partition n2 n3 n4 | n1 n5 n6 n7 n8")
	p.picture("broken")
	p.do(chromedp.Click("#heal"))
	p.acted("heal")
	p.until(`$$("#marks i").length === 7`) // a mark on the timeline for each step
	p.clean()
}

func TestTheKeyboardBreaksThings(t *testing.T) {
	p := open(t, mock(t), desktop).ready()
	p.do(chromedp.KeyEvent(" "))
	p.until(`playground.player.playing === false`)
	p.do(chromedp.KeyEvent("."))
	p.until(`playground.player.stepped === 1`)
	// By tab alone to the picture.
	found := false
	for range 40 {
		p.do(chromedp.KeyEvent(kb.Tab))
		if found = p.text(`document.activeElement.id`) == "canvas"; found {
			break
		}
	}
	require.True(t, found, "the picture is not reached by tab")
	p.do(chromedp.KeyEvent("5"+kb.ArrowRight+kb.ArrowRight), chromedp.KeyEvent(kb.Enter))
	p.acted("kill n2")
	p.until(`$("live").textContent.startsWith("kill n2")`)
	p.do(chromedp.KeyEvent("2"+kb.ArrowRight+kb.ArrowDown+kb.ArrowDown), chromedp.KeyEvent(kb.Enter))
	p.until(`$("text").value.includes("cut n")`)
	// Without a tool, Enter goes to the buttons of what is chosen.
	p.do(chromedp.KeyEvent("1"+kb.Escape+kb.ArrowRight), chromedp.KeyEvent(kb.Enter))
	p.until(`document.activeElement.textContent === "Cut all"`)
	p.do(chromedp.KeyEvent(kb.Enter))
	p.acted("cut n1")
	p.eval(`$("canvas").focus()`, nil)
	p.do(chromedp.KeyEvent(kb.ArrowRight+"g"+kb.ArrowRight+"g4"), chromedp.KeyEvent(kb.Enter))
	p.until(`/partition n\d n\d \| /.test($("text").value)`)
	p.do(chromedp.KeyEvent("h"))
	p.acted("heal")
	p.do(chromedp.KeyEvent("?"))
	p.until(`$("help-box").open`)
	p.picture("help")
	p.do(chromedp.KeyEvent(kb.Escape))
	p.until(`!$("help-box").open`)
	p.clean()
}

// TestTheListDoesAll: what the picture does, without it.
func TestTheListDoesAll(t *testing.T) {
	p := open(t, mock(t), phone).ready()
	p.do(chromedp.Click("#tab-list"))
	press := func(js string) {
		t.Helper()
		p.until(js + ` !== null && ` + js + ` !== undefined`)
		p.eval(js+`.click()`, nil)
	}
	press(`document.querySelector("[data-key='n n4']")`)
	press(`button("#selection", "Kill")`)
	p.acted("kill n4")
	press(`document.querySelector("[data-key='s n1 n2']")`)
	press(`button("#selection", "Stall")`)
	p.acted("stall n1 n2")
	press(`document.querySelector("[data-key='g n1']")`)
	press(`document.querySelector("[data-key='part']")`)
	p.acted("partition n1 | n2 n3 n4 n5 n6 n7 n8")
	p.picture("phone-list")
	p.clean()
}

func TestScrub(t *testing.T) {
	p := open(t, mock(t), desktop).ready()
	p.until(`playground.player.at > 5e8`)
	p.eval(`$("scrub").value = 50; for (const e of ["input", "change"]) $("scrub").dispatchEvent(new Event(e)); 0`, nil)
	p.until(`playground.player.at < 4e8 && playground.player.playing === false`)
	// The page draws the clock a picture later.
	p.until(`$("clock").textContent === (playground.player.at / 1e9).toFixed(6) + " s"`)
	p.eval(`$("scrub").focus()`, nil)
	before := p.text(`playground.player.at`)
	p.do(chromedp.KeyEvent(kb.ArrowRight))
	p.until(`playground.player.at > ` + before)
	p.do(chromedp.Click("#rewind"))
	p.until(`playground.player.at === 0`)
	p.clean()
}

// TestAFingerBreaksThings: it is thicker than a mouse.
func TestAFingerBreaksThings(t *testing.T) {
	p := open(t, mock(t), phone).ready()
	tap := func(at point) { p.do(chromedp.TapXY(at.X, at.Y)) }
	p.tool("pause")
	at := p.nodeAt("n2")
	tap(point{at.X + 26, at.Y})
	p.acted("pause n2")
	p.tool("cut")
	at = p.between("n1", "n2")
	tap(point{at.X, at.Y - 12})
	p.acted("cut n1 n2")
	p.clean()
}

// TestNothingIsAskedAfterLoading: the page needs its server no more, whatever is done.
func TestNothingIsAskedAfterLoading(t *testing.T) {
	url, requests := counted(t, mocked)
	p := open(t, url, desktop).ready()
	loaded := requests.Load()
	for _, tab := range []string{"list", "text", "events", "tour"} {
		p.do(chromedp.Click("#tab-" + tab))
	}
	p.tool("cut")
	p.click(p.nodeAt("n3"))
	p.acted("cut n3")
	p.do(chromedp.Click("#share"), chromedp.Click("#help"))
	p.until(`location.hash !== "" && $("help-box").open`)
	require.Equal(t, loaded, requests.Load(), "requests")
	p.clean()
}
