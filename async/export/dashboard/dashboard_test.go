package dashboard

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/export"
	"github.com/asyncmsgr/asyncmsgr/async/export/prom"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/async/rpc"
	"github.com/asyncmsgr/asyncmsgr/async/stream"
	"github.com/asyncmsgr/asyncmsgr/dispatch"
)

const file = "../../../docs/grafana/asyncmsgr.json"

// dashboard is what of Grafana's model these tests look at.
type dashboard struct {
	Panels     []panel `json:"panels"`
	Templating struct {
		List []struct{ Name, Type, Definition string } `json:"list"`
	} `json:"templating"`
}

type panel struct {
	ID      int     `json:"id"`
	Type    string  `json:"type"`
	Title   string  `json:"title"`
	Panels  []panel `json:"panels"`
	Targets []struct {
		RefID        string `json:"refId"`
		Expr         string `json:"expr"`
		LegendFormat string `json:"legendFormat"`
		Format       string `json:"format"`
	} `json:"targets"`
	GridPos struct{ H, W, X, Y int } `json:"gridPos"`
}

func load(t *testing.T) (d dashboard) {
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &d))
	require.Greater(t, len(d.Panels), 40)
	return d
}

// known are the metrics that a collector gives, by the names that queries use, each with its labels.
type known map[string][]string

// collected asks a collector of a messenger that has one of everything. Prometheus itself adds two labels.
func collected(t *testing.T) known {
	slog.SetDefault(slog.New(slog.DiscardHandler))
	m, err := async.New(async.Config{Name: entity.OSD(0), DispatchThrottleBytes: 1 << 20})
	require.NoError(t, err)
	defer func() { require.NoError(t, m.Shutdown(context.Background())) }()
	m.SetDefaultPolicy(msg.StatefulServer())
	m.SetPolicyThrottlers(entity.TypeClient, dispatch.NewThrottle(10), dispatch.NewThrottle(1<<20))
	reg := prometheus.NewPedanticRegistry()
	node, err := rpc.New(m, rpc.Options{})
	require.NoError(t, err)
	mux, err := stream.New(m, stream.Options{})
	require.NoError(t, err)
	reg.MustRegister(prom.NewCollector(prom.Config{
		Messengers: []*async.Messenger{m},
		Options:    export.Options{Nodes: []*rpc.Node{node}, Muxes: []*stream.Mux{mux}},
	}))
	families, err := reg.Gather()
	require.NoError(t, err)
	k := known{}
	for _, f := range families {
		names := []string{"job", "instance"}
		for _, l := range f.Metric[0].Label {
			names = append(names, l.GetName())
		}
		if f.Metric[0].Histogram == nil {
			k[f.GetName()] = names
			continue
		}
		k[f.GetName()+"_sum"], k[f.GetName()+"_count"] = names, names
		k[f.GetName()+"_bucket"] = append(slices.Clone(names), "le")
	}
	for _, m := range export.Metrics() {
		if m.Kind != export.Histogram {
			require.Contains(t, k, m.Prometheus(), "the messenger of this test has to have one of everything")
		}
	}
	return k
}

var queries = parser.NewParser(parser.Options{})

// parse parses a query as Grafana sends it: with its variables filled in.
func parse(expr string) (parser.Expr, error) {
	expr = strings.NewReplacer("$__rate_interval", "1m", "$job", "x", "$instance", "x", "$messenger", "x").Replace(expr)
	return queries.ParseExpr(expr)
}

// check returns what is wrong with a query, and notes the names that it uses.
func (k known) check(expr string, used map[string]bool) (wrong []string) {
	tree, err := parse(expr)
	if err != nil {
		return []string{err.Error()}
	}
	counter := func(name string) bool {
		for _, suffix := range []string{"_total", "_bucket", "_sum", "_count"} {
			if strings.HasSuffix(name, suffix) {
				return true
			}
		}
		return false
	}
	parser.Inspect(tree, func(n parser.Node, path []parser.Node) error {
		within := func(name string) bool {
			return slices.ContainsFunc(path, func(p parser.Node) bool {
				c, ok := p.(*parser.Call)
				return ok && c.Func.Name == name
			})
		}
		switch n := n.(type) {
		case *parser.VectorSelector:
			used[n.Name] = true
			have, there := k[n.Name]
			if !there {
				wrong = append(wrong, "there is no metric "+n.Name)
				return nil
			}
			for _, m := range n.LabelMatchers {
				if m.Name != model.MetricNameLabel && !slices.Contains(have, m.Name) {
					wrong = append(wrong, n.Name+" has no label "+m.Name)
				}
			}
			if counter(n.Name) != within("rate") {
				wrong = append(wrong, n.Name+": counters need a rate, and gauges have none")
			}
			if within("histogram_quantile") && !strings.HasSuffix(n.Name, "_bucket") {
				wrong = append(wrong, "histogram_quantile of "+n.Name+", which are no buckets")
			}
		case *parser.AggregateExpr:
			parser.Inspect(n.Expr, func(inner parser.Node, _ []parser.Node) error {
				if v, ok := inner.(*parser.VectorSelector); ok {
					for _, by := range n.Grouping {
						if have, there := k[v.Name]; there && !slices.Contains(have, by) {
							wrong = append(wrong, v.Name+" has no label "+by)
						}
					}
				}
				return nil
			})
			if within("histogram_quantile") && !slices.Contains(n.Grouping, "le") {
				wrong = append(wrong, "histogram_quantile without the buckets' bounds: sum by (le)")
			}
		}
		return nil
	})
	return wrong
}

var inLegend = regexp.MustCompile(`\{\{(\w+)\}\}`)

// TestQueries: each query can be parsed, each name and label in it is one that the collector gives,
// what a legend shows is there, and no metric is in no panel.
func TestQueries(t *testing.T) {
	k, used, n := collected(t), map[string]bool{}, 0
	for _, p := range load(t).Panels {
		require.Empty(t, p.Panels, "rows are open: panels stand beside them")
		require.Equal(t, p.Type == "row", len(p.Targets) == 0, p.Title)
		for _, q := range p.Targets {
			n++
			for _, wrong := range k.check(q.Expr, used) {
				t.Errorf("%s, %s: %s\n%s", p.Title, q.RefID, wrong, q.Expr)
			}
			for _, l := range inLegend.FindAllStringSubmatch(q.LegendFormat, -1) {
				if !regexp.MustCompile(`by \([^)]*\b` + l[1] + `\b`).MatchString(q.Expr) {
					t.Errorf("%s, %s: the legend shows %s, which is aggregated away\n%s",
						p.Title, q.RefID, l[1], q.Expr)
				}
			}
			if p.Type == "heatmap" {
				require.Equal(t, "heatmap", q.Format, p.Title)
				require.Contains(t, q.Expr, "_bucket{", p.Title)
			}
		}
	}
	require.Greater(t, n, 80)
	for name := range k {
		if !used[name] {
			t.Errorf("no panel shows %s", name)
		}
	}
}

// TestCheck: the check finds what is wrong.
func TestCheck(t *testing.T) {
	k := collected(t)
	for expr, want := range map[string]string{
		`msgr_connections{`:                "parse error",
		`msgr_conections{messenger="x"}`:   "no metric",
		`msgr_connections{peer="x"}`:       "no label peer",
		`sum by (peer) (msgr_connections)`: "no label peer",
		`msgr_messages_sent_total`:         "need a rate",
		`rate(msgr_connections[1m])`:       "gauges have none",
		`histogram_quantile(0.9, sum by (le) (rate(msgr_dispatch_wait_seconds_sum[1m])))`:        "no buckets",
		`histogram_quantile(0.9, sum by (worker) (rate(msgr_dispatch_wait_seconds_bucket[1m])))`: "bounds",
	} {
		require.Contains(t, strings.Join(k.check(expr, map[string]bool{}), "\n"), want, expr)
	}
	require.Empty(t, k.check(`sum by (le) (rate(msgr_dispatch_wait_seconds_bucket{job=~"x"}[1m]))`, map[string]bool{}))
}

// TestVariables: the lists to choose from ask for names and labels that are there.
func TestVariables(t *testing.T) {
	k := collected(t)
	form := regexp.MustCompile(`^label_values\((.*), (\w+)\)$`)
	var names []string
	for _, v := range load(t).Templating.List {
		names = append(names, v.Name)
		if v.Type != "query" {
			continue
		}
		m := form.FindStringSubmatch(v.Definition)
		require.NotNil(t, m, v.Definition)
		require.Empty(t, k.check(m[1], map[string]bool{}), v.Definition)
		require.Contains(t, k["msgr_started"], m[2])
	}
	require.Equal(t, []string{"datasource", "job", "instance", "messenger"}, names)
}

// TestLayout: no panel lies on another one, and each has its number and a title.
func TestLayout(t *testing.T) {
	type cell struct{ x, y int }
	taken, ids := map[cell]string{}, map[int]bool{}
	for _, p := range load(t).Panels {
		require.NotEmpty(t, p.Title)
		require.False(t, ids[p.ID], p.Title)
		ids[p.ID] = true
		g := p.GridPos
		require.LessOrEqual(t, g.X+g.W, 24, p.Title)
		for x := g.X; x < g.X+g.W; x++ {
			for y := g.Y; y < g.Y+g.H; y++ {
				require.Empty(t, taken[cell{x, y}], "%s", p.Title)
				taken[cell{x, y}] = p.Title
			}
		}
	}
}
