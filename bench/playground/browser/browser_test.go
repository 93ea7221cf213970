package browser

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

var screenshots = flag.String("screenshots", "", "a folder for pictures of the page")

// patience is a bound for what hangs, not a time that anything should take.
const patience = 3 * time.Minute

// chromium finds the browser, or skips the test.
func chromium(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: a browser takes long")
	}
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv("ASYNCMSGR_CHROMIUM") == "require" {
		t.Fatal("there is no chromium, and ASYNCMSGR_CHROMIUM is require")
	}
	t.Skip("there is no chromium in the PATH (apt-get install --no-install-recommends chromium)")
	return ""
}

// page is a tab of the browser.
type page struct {
	t   *testing.T
	ctx context.Context

	mu       sync.Mutex
	troubles []string
}

type size struct {
	width, height int64
	mobile        bool
	dark          bool
	calm          bool   // prefers-reduced-motion
	before        string // JavaScript that runs before the page
}

var desktop = size{width: 1440, height: 900}

// shared is the browser whose tabs the tests are.
var shared struct {
	once   sync.Once
	ctx    context.Context
	cancel func()
	err    error
}

func TestMain(m *testing.M) {
	flag.Parse()
	rc := m.Run()
	if built.dir != "" {
		_ = os.RemoveAll(built.dir)
	}
	if shared.cancel != nil {
		shared.cancel()
	}
	os.Exit(rc)
}

// launch starts a browser. The function ends it, and waits for that.
func launch(path, dir string) (context.Context, func(), error) {
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path),
		chromedp.Flag("headless", "new"), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(dir))
	alloc, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, cancelTab := chromedp.NewContext(alloc)
	end := func() {
		_ = chromedp.Cancel(ctx)
		cancelTab()
		cancel()
	}
	return ctx, end, chromedp.Do(ctx)
}

// tab opens a tab.
func tab(t *testing.T) context.Context {
	t.Helper()
	path := chromium(t)
	shared.once.Do(func() {
		dir, err := os.MkdirTemp("", "playground")
		if err != nil {
			shared.err = err
			return
		}
		var end func()
		shared.ctx, end, shared.err = launch(path, dir)
		shared.cancel = func() {
			end()
			_ = os.RemoveAll(dir)
		}
	})
	require.NoError(t, shared.err)
	ctx, cancel := chromedp.NewContext(shared.ctx)
	t.Cleanup(cancel)
	return ctx
}

// short are names for what the tests write often.
const short = `
	globalThis.$ = (id) => document.getElementById(id);
	globalThis.$$ = (selector) => [...document.querySelectorAll(selector)];
	globalThis.words = (selector) => document.querySelector(selector).textContent;
	globalThis.type = (text) => {
		$("text").value = text;
		$("text").dispatchEvent(new Event("input"));
	};
	globalThis.button = (selector, words) => $$(selector + " button").find((b) => b.textContent === words);
`

// open opens a tab of a size, and goes to the address.
func open(t *testing.T, url string, s size) *page {
	t.Helper()
	ctx := tab(t)
	p := &page{t: t, ctx: ctx}
	require.NoError(t, chromedp.Listen(ctx, p.listen))
	var cancel context.CancelFunc
	p.ctx, cancel = context.WithTimeout(ctx, patience)
	t.Cleanup(cancel)
	scheme, motion := "light", "no-preference"
	if s.dark {
		scheme = "dark"
	}
	if s.calm {
		motion = "reduce"
	}
	call(p, runtime.Enable, cdp.Empty{})
	call(p, log.Enable, cdp.Empty{})
	metrics := emulation.SetDeviceMetricsOverrideParams{Width: s.width, Height: s.height, DeviceScaleFactor: 1,
		Mobile: s.mobile}
	if s.mobile {
		metrics.DeviceScaleFactor = 2
	}
	call(p, emulation.SetDeviceMetricsOverride, metrics)
	if s.mobile {
		call(p, emulation.SetTouchEmulationEnabled, emulation.SetTouchEmulationEnabledParams{Enabled: true})
	}
	call(p, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: motion},
	}})
	call(p, cdppage.AddScriptToEvaluateOnNewDocument,
		cdppage.AddScriptToEvaluateOnNewDocumentParams{Source: short + s.before})
	p.do(chromedp.Navigate(url))
	return p
}

// call runs a command of the browser's protocol on the tab.
func call[P, R any](p *page, cmd cdp.Command[P, R], params P) R {
	p.t.Helper()
	r, err := chromedp.Call(p.ctx, cmd, params)
	require.NoError(p.t, err, "%s", cmd.Method)
	return r
}

// listen collects what a clean page never says.
func (p *page) listen(ev any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch ev := ev.(type) {
	case *runtime.EventExceptionThrown:
		p.troubles = append(p.troubles, fmt.Sprintf("exception: %+v", ev.ExceptionDetails))
	case *runtime.EventConsoleAPICalled:
		if ev.Type == "error" || ev.Type == "warning" {
			text := ""
			for _, a := range ev.Args {
				text += " " + string(a.Value) + a.Description
			}
			p.troubles = append(p.troubles, "console:"+text)
		}
	case *log.EventEntryAdded:
		if ev.Entry.Level == "error" || ev.Entry.Level == "warning" {
			p.troubles = append(p.troubles, fmt.Sprintf("log: %s %s", ev.Entry.Text, ev.Entry.URL))
		}
	}
}

// clean fails the test if the console said something.
func (p *page) clean() {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	require.Empty(p.t, p.troubles, "the console of the page")
}

func (p *page) do(steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	require.NoError(p.t, chromedp.Do(p.ctx, steps...))
}

// eval runs JavaScript, whose value may be a promise, and reads what it is as JSON.
func (p *page) eval(js string, to any) {
	p.t.Helper()
	raw, err := chromedp.Run(p.ctx, chromedp.Evaluate[[]byte](js, chromedp.EvalAwaitPromise))
	require.NoError(p.t, err, "%s", js)
	if to != nil {
		require.NoError(p.t, json.Unmarshal(raw, to), "%s", js)
	}
}

func (p *page) text(js string) string {
	p.t.Helper()
	var s string
	p.eval("String("+js+")", &s)
	return s
}

// until waits for an expression to be true.
func (p *page) until(js string) {
	p.t.Helper()
	_, err := chromedp.Run(p.ctx, chromedp.Poll[chromedp.Void](js, chromedp.WithPollingInterval(20*time.Millisecond),
		chromedp.WithPollingTimeout(0)))
	if err != nil {
		state, _ := chromedp.Run(context.WithoutCancel(p.ctx),
			chromedp.Evaluate[string](
				`JSON.stringify(globalThis.playground?.player.state ?? globalThis.live?.state).slice(0, 3000)`))
		require.NoError(p.t, err, "%s\n%s\n%s", js, p.heard(), state)
	}
}

func (p *page) heard() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.troubles, "\n")
}

// ready waits until the page runs.
func (p *page) ready() *page {
	p.t.Helper()
	p.until(`document.body.dataset.ready === "true"`)
	return p
}

// picture writes what is seen into the folder of the flag -screenshots. On a busy machine it has
// happened that the browser did not answer: then it is asked again.
func (p *page) picture(name string) {
	p.t.Helper()
	var png []byte
	err := context.DeadlineExceeded
	for try := 0; try < 3 && errors.Is(err, context.DeadlineExceeded) && p.ctx.Err() == nil; try++ {
		ctx, cancel := context.WithTimeout(p.ctx, patience/4)
		png, err = chromedp.Run(ctx, chromedp.CaptureScreenshot())
		cancel()
	}
	require.NoError(p.t, err)
	require.NotEmpty(p.t, png)
	if *screenshots == "" {
		return
	}
	require.NoError(p.t, os.MkdirAll(*screenshots, 0o755))
	require.NoError(p.t, os.WriteFile(filepath.Join(*screenshots, name+".png"), png, 0o644))
}
