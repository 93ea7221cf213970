package browser

import (
	"fmt"
	"testing"

	"github.com/chromedp/chromedp"
)

// TestTheTourCanBeDone: each of its stops can be done by what it asks for, and says what was
// learned when it is.
func TestTheTourCanBeDone(t *testing.T) {
	p := open(t, engine(t), desktop).ready()
	press := func(words string) {
		t.Helper()
		button := fmt.Sprintf(`button("#selection", %q)`, words)
		p.until(button)
		p.eval(button+`.click()`, nil)
	}
	done := func(tries int) {
		t.Helper()
		p.until(fmt.Sprintf(`$$("#tour-panel li.done").length >= %d`, tries))
	}
	p.eval(`button("#tour-panel", "Begin the tour").click()`, nil)
	stops := []struct {
		title string
		do    func()
	}{
		{"Nothing is lost", func() {
			for i := range 3 {
				p.tool("cut")
				p.click(p.between("a", "b"))
				p.until(fmt.Sprintf(`$$("#marks i").length === %d`, i+1))
				done(2)
			}
		}},
		{"Replay", func() {
			p.tool("stall")
			p.click(p.between("a", "b"))
			done(1)
			p.picture("tour-stalled")
			p.until(`playground.player.state.sessions[0].queued[0] > 3`)
			p.tool("cut")
			p.click(p.between("a", "b"))
			done(2)
			p.eval(`playground.seek(1e8)`, nil)
		}},
		{"Races", func() {
			p.do(chromedp.Click("#play"))
			p.until(`!playground.player.playing`)
			p.do(chromedp.Click("#rewind"))
			p.until(`playground.player.at === 0`)
			for range 5 {
				p.do(chromedp.Click("#step"))
			}
			done(1)
			p.picture("tour-race")
			p.do(chromedp.Click("#play"))
			done(2)
			p.tool("cut")
			p.click(p.between("a", "b"))
		}},
		{"Priorities", func() {
			done(1)
			p.tool("choose")
			p.click(p.between("a", "b"))
			press("Urgent a → b")
			done(2)
			p.picture("tour-priorities")
		}},
		{"Back-pressure", func() {
			p.click(p.nodeAt("b"))
			press("Stick dispatcher")
			done(2)
			p.picture("tour-pressure")
			press("Free dispatcher")
		}},
		{"Resets", func() {
			p.tool("kill")
			p.click(p.nodeAt("b"))
			done(1)
			p.until(`playground.player.state.nodes[1].state === "dead"`)
			p.click(p.nodeAt("b"))
			done(2)
		}},
	}
	for i, s := range stops {
		p.until(fmt.Sprintf(`words("#tour-panel h2") === %q && playground.player.at > 0`, s.title))
		p.eval(`playground.setSpeed(1)`, nil)
		p.until(`playground.player.state.sessions.length > 0`)
		s.do()
		done(3)
		p.until(`document.querySelector("#tour-panel .learned") !== null`)
		p.picture(fmt.Sprintf("tour-%d", i+1))
		p.eval(`document.querySelector("#tour-panel [data-key=next]").click()`, nil)
	}
	p.until(`words("#tour-panel h2") === "What you see"`)
	p.clean()
}
