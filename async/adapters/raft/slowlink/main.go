// Command slowlink measures what raft's messages wait while a snapshot is installed over a
// slow link: heartbeats and AppendEntries, by raft's NetworkTransport over TCP, by the
// transport of this module, and by the same with all of one priority.
//
//	go run ./slowlink [-rate 100mbit] [-snapshot 64] [-rounds 3] [-router]
//
// The link is made of network namespaces of its own, so it needs root, and the commands ip
// and tc; without them it says so and ends with status 3. With -router the bottleneck is a
// host between the two; otherwise it is the sender's own interface, whose queue the
// sender's kernel keeps short.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// The ways to carry raft.
var modes = []string{"network", "ours", "ours, one priority"}

var (
	rate     = flag.String("rate", "100mbit", "of the link, as tc has it")
	latency  = flag.String("latency", "50ms", "how long a packet may wait for the link (tc's tbf)")
	snapshot = flag.Int("snapshot", 64, "MiB of the snapshot")
	rounds   = flag.Int("rounds", 3, "how often each way is measured, in turns")
	router   = flag.Bool("router", false, "put the bottleneck on a host between the two")
	every    = flag.Duration("every", 10*time.Millisecond, "from an answer to the next request of that kind")

	role = flag.String("role", "", "used by itself")
	mode = flag.String("mode", "", "used by itself")
)

func main() {
	flag.Parse()
	switch *role {
	case "":
		os.Exit(measure())
	case "follower":
		exit(follow(*mode))
	case "leader":
		exit(lead(*mode))
	}
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "slowlink:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// measure makes the link and runs each way over it, in turns.
func measure() int {
	l, err := newLink()
	defer l.remove()
	if err != nil {
		fmt.Fprintf(os.Stderr, "slowlink: NOT MEASURED: no network namespaces can be made here: %v\n"+
			"It needs root (CAP_NET_ADMIN, CAP_SYS_ADMIN) and the commands ip and tc (iproute2).\n", err)
		return 3
	}
	results := map[string][]result{}
	for range *rounds {
		for _, m := range modes {
			r, err := l.run(m)
			if err != nil {
				fmt.Fprintf(os.Stderr, "slowlink: %s: %v\n", m, err)
				return 1
			}
			fmt.Printf("%-20s %v\n", m, r)
			results[m] = append(results[m], r)
		}
	}
	fmt.Printf("\nmedians of %d rounds; %d MiB over %s, bottleneck %s:\n\n", *rounds, *snapshot, *rate, l.where())
	fmt.Println("| transport | heartbeat p50 | p99 | AppendEntries p50 | p99 | snapshot |\n" +
		"| --- | --- | --- | --- | --- | --- |")
	for _, m := range modes {
		r := median(results[m])
		fmt.Printf("| %s | %.1f ms | %.1f ms | %.1f ms | %.1f ms | %.2f s |\n", m,
			r.HeartbeatP50, r.HeartbeatP99, r.AppendP50, r.AppendP99, r.Snapshot)
	}
	n, o := median(results["network"]), median(results["ours"])
	fmt.Printf("\nours / network, p99: heartbeats %.2f, AppendEntries %.2f; snapshot %.2f\n",
		o.HeartbeatP99/n.HeartbeatP99, o.AppendP99/n.AppendP99, o.Snapshot/n.Snapshot)
	return 0
}

// result is what a leader has measured: milliseconds, and seconds of the snapshot.
type result struct {
	HeartbeatP50, HeartbeatP99, AppendP50, AppendP99, Snapshot float64
	Heartbeats, Appends                                        int
}

func (r result) String() string {
	return fmt.Sprintf("heartbeats p50 %.1f p99 %.1f ms (%d), AppendEntries p50 %.1f p99 %.1f ms (%d), snapshot %.2f s",
		r.HeartbeatP50, r.HeartbeatP99, r.Heartbeats, r.AppendP50, r.AppendP99, r.Appends, r.Snapshot)
}

// median is the median of each number.
func median(rs []result) result {
	of := func(f func(result) float64) float64 {
		var v []float64
		for _, r := range rs {
			v = append(v, f(r))
		}
		slices.Sort(v)
		return v[len(v)/2]
	}
	return result{
		HeartbeatP50: of(func(r result) float64 { return r.HeartbeatP50 }),
		HeartbeatP99: of(func(r result) float64 { return r.HeartbeatP99 }),
		AppendP50:    of(func(r result) float64 { return r.AppendP50 }),
		AppendP99:    of(func(r result) float64 { return r.AppendP99 }),
		Snapshot:     of(func(r result) float64 { return r.Snapshot }),
	}
}

// link is two hosts, and perhaps one between them, as network namespaces.
type link struct {
	name string
	made []string
}

func (l *link) ns(host string) string { return l.name + host }

func (l *link) where() string {
	if *router {
		return "on a host between the two, where a packet waits " + *latency + " at most"
	}
	return "on the sender's own interface"
}

// The addresses of the two hosts.
const leaderIP, followerIP = "10.231.1.1", "10.231.2.2"

func newLink() (*link, error) {
	l := &link{name: fmt.Sprintf("asyncmsgr%d", os.Getpid())}
	if _, err := exec.LookPath("tc"); err != nil {
		return l, err
	}
	hosts := []string{"a", "b"}
	if *router {
		hosts = []string{"a", "r", "b"}
	}
	for _, h := range hosts {
		if err := ip("netns", "add", l.ns(h)); err != nil {
			return l, err
		}
		l.made = append(l.made, l.ns(h))
		if err := l.in(h, "ip", "link", "set", "lo", "up"); err != nil {
			return l, err
		}
	}
	var errs []error
	do := func(err error) { errs = append(errs, err) }
	wire := func(x, xip, y, yip string, net string) {
		dx, dy := "to-"+y, "to-"+x
		do(ip("link", "add", dx, "netns", l.ns(x), "type", "veth", "peer", "name", dy, "netns", l.ns(y)))
		do(l.in(x, "ip", "addr", "add", xip+net, "dev", dx))
		do(l.in(y, "ip", "addr", "add", yip+net, "dev", dy))
		do(l.in(x, "ip", "link", "set", dx, "up"))
		do(l.in(y, "ip", "link", "set", dy, "up"))
	}
	slow := func(host, dev string) {
		do(l.in(host, "tc", "qdisc", "add", "dev", dev, "root", "tbf",
			"rate", *rate, "burst", "32kb", "latency", *latency))
	}
	if *router {
		wire("a", leaderIP, "r", "10.231.1.9", "/24")
		wire("b", followerIP, "r", "10.231.2.9", "/24")
		do(l.in("a", "ip", "route", "add", "default", "via", "10.231.1.9"))
		do(l.in("b", "ip", "route", "add", "default", "via", "10.231.2.9"))
		do(l.in("r", "sysctl", "-qw", "net.ipv4.ip_forward=1"))
		slow("r", "to-a")
		slow("r", "to-b")
	} else {
		wire("a", leaderIP, "b", followerIP, "/16")
		slow("a", "to-b")
		slow("b", "to-a")
	}
	return l, errors.Join(errs...)
}

func (l *link) remove() {
	for _, ns := range l.made {
		if err := ip("netns", "del", ns); err != nil {
			fmt.Fprintln(os.Stderr, "slowlink:", err)
		}
	}
}

func ip(args ...string) error { return command("ip", args...) }

// in runs a command on a host.
func (l *link) in(host string, args ...string) error {
	return command("ip", append([]string{"netns", "exec", l.ns(host)}, args...)...)
}

func command(name string, args ...string) error {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// run measures one way.
func (l *link) run(mode string) (r result, err error) {
	self, err := os.Executable()
	if err != nil {
		return r, err
	}
	child := func(host, role string) *exec.Cmd {
		c := exec.Command("ip", "netns", "exec", l.ns(host), self, "-role", role, "-mode", mode,
			"-snapshot", fmt.Sprint(*snapshot), "-every", every.String())
		c.Stderr = os.Stderr
		return c
	}
	f := child("b", "follower")
	stdin, err := f.StdinPipe() // the follower ends with it
	if err != nil {
		return r, err
	}
	stdout, err := f.StdoutPipe()
	if err != nil {
		return r, err
	}
	if err := f.Start(); err != nil {
		return r, err
	}
	if _, err := stdout.Read(make([]byte, 1)); err != nil { // it listens
		return r, fmt.Errorf("the follower does not start: %w", err)
	}
	out, err := child("a", "leader").Output()
	stdin.Close()
	if waitErr := f.Wait(); err == nil {
		err = waitErr
	}
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal(out, &r)
}
