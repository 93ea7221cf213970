//go:build linux && (amd64 || arm64 || loong64)

package perf

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/eventloop"
	"github.com/stretchr/testify/require"
)

// A slow link is two network namespaces joined by a pair of interfaces, through a token bucket
// with a queue, one way; wayBack is the other. The messengers are processes, one in
// each: this program, started anew, with what it is to do in the environment.

var (
	slowLink    = flag.Bool("slowlink", false, "run BenchmarkSlowLink: needs root, and iproute2")
	slowLinkN   = flag.Int("slowlink-n", 400, "round trips of what is urgent")
	slowLinkRTT = flag.String("slowlink-rtt", "20ms,40ms", "round trips of the link")
	slowLinkCC  = flag.String("slowlink-cc", "bbr,reno", "congestion controls that namespaces may have")
	slowLinkQ   = flag.String("slowlink-queue", "50ms,5ms", "how long the queues of the link are")
)

const slowLinkRole = "ASYNCMSGR_SLOWLINK"

// slowLinkJob is what a process is to do.
type slowLinkJob struct {
	Server     bool
	Peer       string // where the server is, for the client
	Size       int    // of bulk messages; 0: there are none
	UnsentMax  int
	WriteBatch int
	N          int
	Bandwidth  float64 // bytes a second
}

// slowLinkResult is what the client has measured. The rest is what the kernel says
// meanwhile, every 100 ms: bytes that the socket has not sent, and its smoothed round trip.
type slowLinkResult struct {
	P50, P90, P99 time.Duration
	Bulk          float64 // bytes a second
	Unsent        float64
	RTT           time.Duration
	Samples       int
}

// TestSlowLinkProcess is a process of BenchmarkSlowLink, and otherwise nothing.
func TestSlowLinkProcess(t *testing.T) {
	role := os.Getenv(slowLinkRole)
	if role == "" {
		t.Skip("a part of BenchmarkSlowLink")
	}
	var job slowLinkJob
	require.NoError(t, json.Unmarshal([]byte(role), &job))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = bufio.NewReader(os.Stdin).ReadString('\n') // until the benchmark ends, or is ended
		if !job.Server {
			os.Exit(1)
		}
	}()
	if job.Server {
		slowLinkServer(t, &job, ended)
	} else {
		slowLinkClient(t, &job)
	}
}

func (j *slowLinkJob) messenger(t *testing.T, name entity.Name, p msg.Policy, d msg.Dispatcher) *async.Messenger {
	m, err := async.New(async.Config{
		Name: name, WriteBatch: j.WriteBatch, Socket: eventloop.SocketOptions{UnsentMax: j.UnsentMax},
	})
	require.NoError(t, err)
	m.SetDefaultPolicy(p)
	m.AddDispatcherTail(d)
	return m
}

func slowLinkServer(t *testing.T, j *slowLinkJob, ended chan struct{}) {
	m := j.messenger(t, entity.OSD(0), msg.StatefulServer(), bulkServer{})
	require.NoError(t, m.Bind(netip.MustParseAddrPort(j.Peer)))
	require.NoError(t, m.Start())
	fmt.Println(slowLinkRole, `"ready"`)
	<-ended
	require.NoError(t, m.Shutdown(context.Background()))
}

func slowLinkClient(t *testing.T, j *slowLinkJob) {
	var bulk atomic.Int64
	answers := make(chan struct{}, 1)
	c := &bulkClient{
		data: make([]byte, j.Size), done: make(chan struct{}),
		sent: func(n int) { bulk.Add(int64(n)) }, answer: func() { answers <- struct{}{} },
	}
	m := j.messenger(t, entity.OSD(1), msg.LosslessClient(), c)
	require.NoError(t, m.Start())
	addrs, err := entity.ParseAddrVec(j.Peer)
	require.NoError(t, err)
	c.conn, err = m.ConnectTo(entity.TypeOSD, addrs)
	require.NoError(t, err)
	c.urgent(t)
	<-answers
	c.begin(t)
	time.Sleep(4 * time.Second) // until the kernel knows the link
	r := slowLinkResult{}
	stop, sampled := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(sampled)
		r.sample(stop)
	}()
	pause := pauses(j.Size+64<<10, j.Bandwidth)
	var took []time.Duration
	from, bulkFrom := time.Now(), bulk.Load()
	for range j.N {
		time.Sleep(pause())
		at := time.Now()
		c.urgent(t)
		<-answers
		took = append(took, time.Since(at))
	}
	r.Bulk = float64(bulk.Load()-bulkFrom) / time.Since(from).Seconds()
	close(stop)
	<-sampled
	close(c.done)
	slices.Sort(took)
	r.P50, r.P90, r.P99 = took[len(took)/2], took[len(took)*9/10], took[len(took)*99/100]
	out, err := json.Marshal(r)
	require.NoError(t, err)
	fmt.Println(slowLinkRole, string(out))
	os.Exit(0) // with all that is queued
}

var (
	ssUnsent = regexp.MustCompile(`notsent:(\d+)`)
	ssRTT    = regexp.MustCompile(` rtt:([\d.]+)/`)
)

// sample looks at the socket until stop is closed.
func (r *slowLinkResult) sample(stop chan struct{}) {
	var unsent, rtt float64
	for {
		select {
		case <-stop:
			r.Unsent, r.RTT = unsent/float64(r.Samples), time.Duration(rtt/float64(r.Samples)*1e6)
			return
		case <-time.After(100 * time.Millisecond):
		}
		out, _ := exec.Command("ss", "-tinH", "state", "established").Output()
		if m := ssUnsent.FindSubmatch(out); m != nil {
			n, _ := strconv.ParseFloat(string(m[1]), 64)
			unsent += n
		}
		if m := ssRTT.FindSubmatch(out); m != nil {
			n, _ := strconv.ParseFloat(string(m[1]), 64)
			rtt += n
		}
		r.Samples++
	}
}

// link is the two namespaces.
type link struct{ near, far string }

const (
	slowLinkAddr = "10.77.0.2:6800"
	slowLinkRate = 100e6 / 8
)

func run(b *testing.B, command string, args ...any) {
	b.Helper()
	f := strings.Fields(fmt.Sprintf(command, args...))
	out, err := exec.Command(f[0], f[1:]...).CombinedOutput()
	require.NoError(b, err, "%s: %s", command, out)
}

// newLink makes a link of 100 Mb/s with that round trip and queue.
func newLink(b *testing.B, cc, queue string, rtt time.Duration) *link {
	id := os.Getpid()
	l := &link{fmt.Sprintf("msgr-near-%d", id), fmt.Sprintf("msgr-far-%d", id)}
	b.Cleanup(func() {
		for _, ns := range []string{l.near, l.far} {
			_ = exec.Command("ip", "netns", "del", ns).Run()
		}
	})
	run(b, "ip netns add %s", l.near)
	run(b, "ip netns add %s", l.far)
	run(b, "ip link add near netns %s type veth peer name far netns %s", l.near, l.far)
	run(b, "ip -n %s addr add 10.77.0.1/24 dev near", l.near)
	run(b, "ip -n %s addr add 10.77.0.2/24 dev far", l.far)
	run(b, "ip -n %s link set near up", l.near)
	run(b, "ip -n %s link set far up", l.far)
	run(b, "ip netns exec %s tc qdisc add dev near root tbf rate 100mbit burst 32kbit latency %s", l.near, queue)
	wayBack(b, l.near, l.far, rtt)
	run(b, "ip -n %s link set back up", l.near)
	run(b, "ip -n %s link set back up", l.far)
	run(b, "ip -n %s route add 10.77.0.1/32 dev back src 10.77.0.2", l.far)
	run(b, "ip netns exec %s sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.back.rp_filter=0", l.near)
	for _, ns := range []string{l.near, l.far} {
		run(b, "ip netns exec %s sysctl -qw net.ipv4.tcp_congestion_control=%s", ns, cc)
	}
	return l
}

// process starts this program in a namespace; what it says is the first value that it
// prints.
func process(b *testing.B, ns string, job slowLinkJob, says any) (end func()) {
	self, err := os.Executable()
	require.NoError(b, err)
	what, err := json.Marshal(job)
	require.NoError(b, err)
	cmd := exec.Command("ip", "netns", "exec", ns, self, "-test.run", "^TestSlowLinkProcess$")
	cmd.Env = append(os.Environ(), slowLinkRole+"="+string(what))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	require.NoError(b, err)
	out, err := cmd.StdoutPipe()
	require.NoError(b, err)
	require.NoError(b, cmd.Start())
	said := false
	for lines := bufio.NewScanner(out); !said && lines.Scan(); {
		if text, ok := strings.CutPrefix(lines.Text(), slowLinkRole+" "); ok {
			require.NoError(b, json.Unmarshal([]byte(text), says))
			said = true
		}
	}
	require.True(b, said, "the process ended before it had measured")
	return func() {
		_ = in.Close()
		_, _ = bufio.NewReader(out).WriteTo(nopWriter{})
		_ = cmd.Wait()
	}
}

type nopWriter struct{}

func (nopWriter) Write(p []byte) (int, error) { return len(p), nil }

// slowLinkWays are what is compared: as it is by default, as it was before sockets and
// batches were measured, and with no bound of the socket's but the kernel's.
var slowLinkWays = []struct {
	name          string
	unsent, batch int
}{
	{name: "default"},
	{name: "fixed", unsent: 128 << 10, batch: 256 << 10},
	{name: "unbounded", unsent: -1, batch: 256 << 10},
}

// BenchmarkSlowLink measures round trips of 64 B at PriorityHigh on a link of 100 Mb/s, when
// it is idle and beside bulk of one connection, and what the bulk gets. docs/BENCHMARKS.md,
// "Overtaking on a slow link", says how to read it.
func BenchmarkSlowLink(b *testing.B) {
	if !*slowLink {
		b.Skip("make slowlink: makes network namespaces, as root")
	}
	for _, rtt := range strings.Split(*slowLinkRTT, ",") {
		d, err := time.ParseDuration(rtt)
		require.NoError(b, err)
		for _, cc := range strings.Split(*slowLinkCC, ",") {
			for _, queue := range strings.Split(*slowLinkQ, ",") {
				name := fmt.Sprintf("rtt=%s/%s/queue=%s", rtt, cc, queue)
				b.Run(name, func(b *testing.B) { onSlowLink(b, cc, queue, d) })
			}
		}
	}
}

func onSlowLink(b *testing.B, cc, queue string, rtt time.Duration) {
	l := newLink(b, cc, queue, rtt)
	measure := func(b *testing.B, job slowLinkJob) (r slowLinkResult) {
		job.Peer, job.Bandwidth, job.N = slowLinkAddr, slowLinkRate, *slowLinkN
		if job.UnsentMax < 0 {
			job.N /= 4 // each takes long
		}
		srv := job
		srv.Server = true
		var ready string
		end := process(b, l.far, srv, &ready)
		defer end()
		process(b, l.near, job, &r)()
		ms := func(d time.Duration) float64 { return d.Seconds() * 1e3 }
		b.ReportMetric(ms(r.P50), "p50-ms")
		b.ReportMetric(ms(r.P99), "p99-ms")
		b.ReportMetric(ms(r.P90), "p90-ms")
		b.ReportMetric(r.Bulk/1e6, "bulk-MB/s")
		b.ReportMetric(r.Unsent/1024, "unsent-KiB")
		b.ReportMetric(ms(r.RTT), "kernel-rtt-ms")
		b.ReportMetric(0, "ns/op")
		return r
	}
	var idle slowLinkResult
	b.Run("idle", func(b *testing.B) { idle = measure(b, slowLinkJob{}) })
	for _, size := range []int{64 << 10, 1 << 20} {
		for _, way := range slowLinkWays {
			b.Run(fmt.Sprintf("bulk=%s/%s", bulkName(size), way.name), func(b *testing.B) {
				r := measure(b, slowLinkJob{Size: size, UnsentMax: way.unsent, WriteBatch: way.batch})
				b.ReportMetric(float64(r.P50)/float64(idle.P50), "p50/idle")
				b.ReportMetric(float64(r.P90)/float64(idle.P90), "p90/idle")
				b.ReportMetric(float64(r.P99)/float64(idle.P99), "p99/idle")
			})
		}
	}
}
