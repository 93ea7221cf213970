package export

import (
	"context"
	"io"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/asynctest/bubble"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/async/rpc"
	"github.com/asyncmsgr/asyncmsgr/async/stream"
	"github.com/asyncmsgr/asyncmsgr/eventloop/simnet"
	"github.com/stretchr/testify/require"
)

// otherNames are metrics that are not called as the field is.
var otherNames = map[string]string{
	"Calls.Counts.Chunks": "msgr.rpc.chunks_received", "Streams.Streams": "msgr.stream.open",
	"Streams.BytesSent": "msgr.stream.payload_sent", "Streams.BytesReceived": "msgr.stream.payload_received",
}

// inside is where a word begins within a name.
var inside = regexp.MustCompile(`\B([A-Z])`)

// TestNamesOfFields: each field of rpc.Stats and of stream.Stats is in one metric, that of its
// name, as it is; what rises only is a Counter, and has the type of one.
func TestNamesOfFields(t *testing.T) {
	values := func(s *scene) map[string]float64 {
		all := map[string]float64{}
		for v := range s.reading().Each {
			if strings.HasPrefix(v.Name, "msgr.rpc.") || strings.HasPrefix(v.Name, "msgr.stream.") {
				require.NotContains(t, all, v.Name)
				all[v.Name] = v.N
			}
		}
		return all
	}
	tried := 0
	for root, prefix := range map[string]string{"Calls": "msgr.rpc.", "Streams": "msgr.stream."} {
		var paths []string
		leaves(root, newScene().part(root), func(path string, _ func()) { paths = append(paths, path) })
		for _, path := range paths {
			field := path[strings.LastIndex(path, ".")+1:]
			name := prefix + strings.ToLower(inside.ReplaceAllString(field, "_$1"))
			if other := otherNames[path]; other != "" {
				name = other
			}
			s, n, kind := newScene(), 0.0, Gauge
			v := s.part(root).FieldByName(field)
			if v.CanUint() {
				v.SetUint(7)
				n, kind = 7, Counter
			} else {
				v.SetInt(9)
				n = 9
			}
			want := values(newScene())
			require.Contains(t, want, name, path)
			want[name] = n
			require.Equal(t, want, values(s), path)
			require.Equal(t, kind, find(t, name).Kind, name)
			tried++
		}
	}
	require.Equal(t, len(rpcTable)+len(streamTable), tried)
}

// TestOptionsMetrics: who names no Node and no Mux has no metric of theirs, and what Options.Metrics has
// is what a Reading with these Options gives.
func TestOptionsMetrics(t *testing.T) {
	names := func(all []Metric) (names []string) {
		for _, m := range all {
			names = append(names, m.Name)
		}
		return names
	}
	all := names(Metrics())
	node, mux := []*rpc.Node{nil}, []*stream.Mux{nil} // only whether there are any is looked at
	for _, o := range []Options{
		{}, {SkipConnections: true}, {Nodes: node}, {Muxes: mux}, {Nodes: node, Muxes: mux},
		{Nodes: node, Muxes: mux, SkipConnections: true},
	} {
		r := newScene().reading()
		r.skip = o.SkipConnections
		if len(o.Nodes) == 0 {
			r.calls = nil
		}
		if len(o.Muxes) == 0 {
			r.streams = nil
		}
		var came []string
		for v := range r.Each {
			if !slices.Contains(came, v.Name) {
				came = append(came, v.Name)
			}
		}
		require.Equal(t, came, names(o.Metrics()))
		require.Subset(t, all, came)
	}
	require.Equal(t, all, names(Options{Nodes: node, Muxes: mux}.Metrics()))
	require.NotContains(t, names(Options{}.Metrics()), "msgr.rpc.calls")
	require.NotContains(t, names(Options{}.Metrics()), "msgr.stream.open")
}

// TestPageNamesMetrics: the metrics of calls and streams that docs/OBSERVING.md names are there. The
// first one of a row has its whole name, and the others what theirs ends with.
func TestPageNamesMetrics(t *testing.T) {
	text, err := os.ReadFile("../../docs/OBSERVING.md")
	require.NoError(t, err)
	_, page, ok := strings.Cut(string(text), "\n| what one wants to know | metrics |\n")
	require.True(t, ok)
	page, _, _ = strings.Cut(page, "\n\n")
	named := 0
	for line := range strings.Lines(page) {
		prefix := ""
		for _, m := range regexp.MustCompile("`(msgr\\.[a-z]+\\.)?([a-z_]+)`").FindAllStringSubmatch(line, -1) {
			if m[1] != "" {
				prefix = m[1]
			}
			find(t, prefix+m[2])
			named++
		}
	}
	require.Greater(t, named, 30)
}

// party is a messenger with calls and streams.
type party struct {
	*async.Messenger
	node *rpc.Node
	mux  *stream.Mux
}

func newParty(t *testing.T, h *bubble.Host, name entity.Name) (p party) {
	m, err := async.New(async.Config{Name: name, Stack: h, Executor: h, Rand: h.Rand, Logger: h.Logger()})
	require.NoError(t, err)
	p.Messenger = m
	m.SetDefaultPolicy(msg.LosslessPeer())
	p.node, err = rpc.New(m, rpc.Options{})
	require.NoError(t, err)
	p.mux, err = stream.New(m, stream.Options{})
	require.NoError(t, err)
	require.Same(t, m, p.mux.Messenger())
	require.NoError(t, m.Bind(netip.AddrPortFrom(h.Addr(), 6800)))
	t.Cleanup(func() { require.NoError(t, m.Shutdown(context.Background())) })
	return p
}

// TestCallsAndStreams: calls and streams between two messengers are told of the right one, from
// Options that name those of both, and of a third, which has neither, nothing is.
func TestCallsAndStreams(t *testing.T) {
	const seed = 1
	t.Log("seed", seed)
	bubble.Test(t, seed, simnet.Config{}, func(t *testing.T, w *bubble.World) {
		server := newParty(t, w.Host("server", simnet.HostConfig{}), entity.OSD(0))
		client := newParty(t, w.Host("client", simnet.HostConfig{}), entity.OSD(1))
		h := w.Host("plain", simnet.HostConfig{})
		plain, err := async.New(async.Config{
			Name: entity.OSD(2), Stack: h, Executor: h, Rand: h.Rand, Logger: h.Logger(),
		})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, plain.Shutdown(context.Background())) })
		o := Options{
			Nodes: []*rpc.Node{server.node, client.node}, Muxes: []*stream.Mux{client.mux, server.mux},
		}
		var inHandler *Reading
		require.NoError(t, server.node.HandleRaw(1, func(_ context.Context, r *rpc.Request) ([]byte, error) {
			inHandler = Read(server.Messenger, o)
			return nil, nil
		}))
		l, err := server.mux.Listen("sink")
		require.NoError(t, err)
		for _, p := range []party{server, client} {
			require.NoError(t, p.Start())
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		c, err := client.ConnectTo(entity.TypeOSD, server.Addrs())
		require.NoError(t, err)
		for range 3 {
			_, err = client.node.Call(ctx, c, 1, []byte("?"))
			require.NoError(t, err)
		}
		_, err = client.node.Call(ctx, c, 2, nil)
		require.Equal(t, rpc.CodeUnimplemented, rpc.CodeOf(err))
		out, err := client.mux.Dial(ctx, c, "sink")
		require.NoError(t, err)
		in, err := l.Accept()
		require.NoError(t, err)
		_, err = out.Write(make([]byte, 1000))
		require.NoError(t, err)
		_, err = io.ReadFull(in, make([]byte, 400))
		require.NoError(t, err)

		value := func(r *Reading, name string) float64 {
			for v := range r.Each {
				if v.Name == name {
					return v.N
				}
			}
			require.Fail(t, "no value", name)
			return 0
		}
		from, to := Read(client.Messenger, o), Read(server.Messenger, o)
		for name, want := range map[string][2]float64{
			"msgr.rpc.calls": {4, 0}, "msgr.rpc.replies": {3, 0}, "msgr.rpc.remote_errors": {1, 0},
			"msgr.rpc.requests": {0, 3}, "msgr.rpc.unimplemented": {0, 1}, "msgr.rpc.out": {0, 0},
			"msgr.stream.dialed": {1, 0}, "msgr.stream.accepted": {0, 1}, "msgr.stream.open": {1, 1},
			"msgr.stream.payload_sent": {1000, 0}, "msgr.stream.payload_received": {0, 1000},
			"msgr.stream.unread": {0, 600},
		} {
			require.Equal(t, want, [2]float64{value(from, name), value(to, name)}, name)
		}
		require.EqualValues(t, 1, value(inHandler, "msgr.rpc.running"))
		none := Read(plain, o)
		require.Nil(t, none.calls)
		require.Nil(t, none.streams)
		require.Nil(t, Read(server.Messenger, Options{}).calls)
		require.Nil(t, Read(server.Messenger, Options{}).streams)
		require.NoError(t, out.Close())
		require.NoError(t, in.Close())
		require.NoError(t, l.Close())
	})
}
