package browser

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"
)

// native runs a text with msgr sim, and gives the hash of its run.
func native(t *testing.T, msgr, text, seed string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "scenario.txt")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
	out, err := exec.Command(msgr, "sim", file, "--seed", seed, "--json").Output()
	require.NoError(t, err, "seed %s of\n%s\n%s", seed, text, out)
	var r struct {
		Hash string `json:"trace_hash"`
	}
	require.NoError(t, json.Unmarshal(out, &r), "%s", out)
	require.NotEmpty(t, r.Hash, "%s", out)
	return r.Hash
}

// TestTheHashIsTheNativeOne: the same text and seed are the same run, here and there.
func TestTheHashIsTheNativeOne(t *testing.T) {
	msgr := build(t, "msgr", "./bench/cmd/msgr", nil, nil)
	p := open(t, engine(t), desktop).ready()
	p.eval(`playground.player.setPlaying(false)`, nil)
	for _, c := range []struct {
		preset        string
		nodes, faults int
	}{{"ring", 5, 1}, {"priorities", 0, 1}, {"star", 6, 4}} {
		for seed := 1; seed <= 20; seed++ {
			var r struct{ Text, Hash string }
			p.eval(fmt.Sprintf(`(async () => {
				const ask = (q) => playground.player.ask(q);
				const first = await ask({do: "preset", name: %q, nodes: %d, faults: %d, policy: "", seed: "%d"});
				if (first.error) throw new Error(first.error.message);
				for (;;) {
					const { state } = await ask({do: "advance", to: 3e9, budget: 1000});
					if (state.ended) throw new Error(JSON.stringify(state.violation ?? state.limit));
					if (state.at >= 3e9) break;
				}
				return {Text: (await ask({do: "text"})).text.text, Hash: (await ask({do: "hash"})).hash.hash};
			})()`, c.preset, c.nodes, c.faults, seed), &r)
			require.Equal(t, native(t, msgr, r.Text, fmt.Sprint(seed)), r.Hash, "seed %d of %s\n%s",
				seed, c.preset, r.Text)
		}
	}
	p.clean()
}

// TestWhatWasClickedRunsNatively: the text that clicks made gives the same run with msgr sim,
// and as a link.
func TestWhatWasClickedRunsNatively(t *testing.T) {
	url, msgr := engine(t), build(t, "msgr", "./bench/cmd/msgr", nil, nil)
	p := open(t, url, desktop).ready()
	p.eval(`playground.setSpeed(1)`, nil)
	p.tool("cut")
	p.click(p.between("n1", "n2"))
	p.acted("cut n1 n2")
	p.tool("kill")
	p.click(p.nodeAt("n3"))
	p.acted("kill n3")
	p.until(`playground.player.state.nodes[2].state === "dead"`)
	p.click(p.nodeAt("n3"))
	p.acted("restart n3")
	p.tool("pause")
	p.click(p.nodeAt("n5"))
	p.acted("pause n5")
	p.tool("clock")
	p.click(p.nodeAt("n6"))
	p.acted("clock n6 skew=1h")
	p.tool("stall")
	p.click(p.between("n7", "n8"))
	p.acted("stall n7 n8")
	p.do(chromedp.Click("#heal"))
	p.acted("heal")
	at := p.text(`playground.player.at`)
	p.until(`playground.player.at > ` + at + ` + 5e8`)
	p.do(chromedp.Click("#play"))
	p.until(`playground.player.playing === false`)
	var r struct{ Text, Hash, At string }
	now := `(async () => { const ask = (q) => playground.player.ask(q);
		const { text } = await ask({do: "text"}); const { hash } = await ask({do: "hash"});
		return {Text: text.text, Hash: hash.hash, At: String(hash.at)}; })()`
	p.eval(now, &r)
	require.Equal(t, native(t, msgr, r.Text, "1"), r.Hash, "%s", r.Text)

	p.do(chromedp.Click("#share"))
	p.until(`location.hash.includes("&s=")`)
	link := p.text(`location.hash`)
	p.picture("clicked")
	p.clean()

	q := open(t, url+link, desktop).ready()
	q.until(`playground.player.at === ` + r.At)
	var again struct{ Text, Hash, At string }
	q.eval(now, &again)
	require.Equal(t, r.Hash, again.Hash, "the run of the link")
	q.clean()

	// Back in time and forward again it is still the same.
	q.eval(`playground.player.seek(2e8)`, nil)
	q.eval(`playground.player.seek(`+r.At+`)`, nil)
	q.eval(now, &again)
	require.Equal(t, r.Hash, again.Hash, "the run that was sought")
}

// TestAViolationOfTheEngine stops the run, with what led to it.
func TestAViolationOfTheEngine(t *testing.T) {
	p := open(t, engine(t)+"#preset=violation&seed=1", desktop).ready()
	p.eval(`playground.setSpeed(10)`, nil)
	p.until(`$("chart-box").open`)
	require.Equal(t, "false", p.text(`playground.player.playing`))
	require.Contains(t, p.text(`words("#chart-box p")`), "expect")
	require.Equal(t, "true", p.text(`$$("#chart-box svg path").length > 10`))
	p.picture("violation-chart")
	p.do(chromedp.KeyEvent(kb.Escape))
	p.until(`!$("chart-box").open`)
	// Back in time it goes on, and ends there again.
	p.eval(`playground.seek(1e9)`, nil)
	p.until(`playground.player.at === 1e9 && !playground.player.state.violation && $("notice").hidden`)
	p.do(chromedp.Click("#play"))
	p.until(`$("chart-box").open`)
	p.clean()
}

// TestATextIsRun: what is typed runs, with the seed that it has.
func TestATextIsRun(t *testing.T) {
	msgr := build(t, "msgr", "./bench/cmd/msgr", nil, nil)
	p := open(t, engine(t), desktop).ready()
	p.do(chromedp.Click("#tab-text"))
	text := strings.Join([]string{"seed 9", "node left policy=lossless_peer", "node right policy=lossless_peer",
		"links latency=10ms", "send left right 50 size=2000", "run 1s", "cut left right", "run 2s",
		"expect delivered left right 50", ""}, "\n")
	p.eval(fmt.Sprintf(`type(%q)`, text), nil)
	p.do(chromedp.Click("#run-text"))
	p.until(`$("seed").value === "9" && $("preset").value === ""`)
	require.Equal(t, "left,right", p.text(`playground.player.state.nodes.map((n) => n.name)`))
	p.eval(`playground.setSpeed(Infinity)`, nil)
	p.until(`playground.player.state.textDone && playground.player.at >= 3e9`)
	p.do(chromedp.Click("#play"))
	p.until(`playground.player.playing === false`)
	p.eval(`playground.seek(3e9)`, nil)
	p.do(chromedp.Click("#hash-now"))
	p.until(`$("hash").textContent.length > 8`)
	require.Equal(t, native(t, msgr, text, "9"), p.text(`$("hash").textContent`))
	p.picture("text")
	p.clean()
}

// TestTheOrderIsChecked while it runs, after whatever was clicked.
func TestTheOrderIsChecked(t *testing.T) {
	p := open(t, engine(t), desktop).ready()
	p.eval(`playground.setSpeed(1)`, nil)
	p.tool("kill")
	p.click(p.nodeAt("n2"))
	p.acted("kill n2")
	p.do(chromedp.KeyEvent(kb.Escape))
	check := `button("#selection", "Check order now")`
	p.until(check)
	p.eval(check+`.click()`, nil)
	p.acted("check prefix")
	p.until(`$("notice").textContent.startsWith("So far all is in order")`)
	p.clean()
}
