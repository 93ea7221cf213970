package browser

import (
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/performance"
	"github.com/stretchr/testify/require"
)

// busy is the processor time of the page's main thread so far, in seconds.
func (p *page) busy() float64 {
	p.t.Helper()
	for _, m := range call(p, performance.GetMetrics, cdp.Empty{}).Metrics {
		if m.Name == "TaskDuration" {
			return m.Value
		}
	}
	require.Fail(p.t, "there is no TaskDuration")
	return 0
}

// TestFifty measures how many pictures a second there are with fifty nodes. The figures are
// stated, and not judged, for they depend on the machine: see bench/playground/README.md.
func TestFifty(t *testing.T) {
	for name, url := range map[string]string{
		"engine":       engine(t) + "#preset=gossip&nodes=50&seed=1",
		"many packets": mock(t) + "#preset=ring&nodes=50&seed=1",
	} {
		t.Run(name, func(t *testing.T) {
			p := open(t, url, desktop).ready()
			call(p, performance.Enable, performance.EnableParams{TimeDomain: "threadTicks"})
			p.until(`playground.player.at > 2e8`)
			p.eval(`playground.setSpeed(0.1)`, nil)
			before := p.busy()
			var r struct {
				Pictures, Seconds, Worst, Virtual float64
				Packets                           int
			}
			p.eval(`new Promise((done) => {
				const begun = performance.now(), at = playground.player.at;
				let n = 0, last = begun, worst = 0, packets = 0;
				const f = () => {
					const now = performance.now();
					n++;
					worst = Math.max(worst, now - last);
					last = now;
					packets += playground.scene.flights.size;
					if (now - begun < 3000) return requestAnimationFrame(f);
					const s = (now - begun) / 1000;
					const virtual = (playground.player.at - at) / 1e9 / s;
					done({Pictures: n, Seconds: s, Worst: worst, Packets: Math.round(packets / n), Virtual: virtual});
				};
				requestAnimationFrame(f);
			})`, &r)
			busy := p.busy() - before
			require.Positive(t, r.Pictures)
			t.Logf("50 nodes, %d packets: %.1f pictures a second, the longest pause %.0f ms, "+
				"%.1f ms of the page's processor time for each; %.2f s of virtual time a second",
				r.Packets, r.Pictures/r.Seconds, r.Worst, busy*1000/r.Pictures, r.Virtual)
			p.clean()
		})
	}
}
