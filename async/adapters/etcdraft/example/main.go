// Command example is one node of a replicated log: go.etcd.io/raft over a messenger.
//
//	example -id 1 -dir /tmp/n1 -peers 1=127.0.0.1:7001,2=127.0.0.1:7002,3=127.0.0.1:7003
//
// It reads commands from its standard input, a line each: "propose TEXT", "campaign", and
// "log", which prints how many lines were applied, and a hash of them. Killed and started
// again with the same folder it goes on where it was, with a snapshot from its peers if
// they have gone too far.
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	etcdraftmsgr "github.com/asyncmsgr/asyncmsgr/async/adapters/etcdraft"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"go.etcd.io/raft/v3"
)

func main() {
	id := flag.Uint64("id", 1, "this node")
	dir := flag.String("dir", ".", "where it keeps its log")
	list := flag.String("peers", "1=127.0.0.1:7001", "all nodes: ID=HOST:PORT,...")
	flag.Parse()
	peers, err := parsePeers(*list)
	if err != nil {
		log.Fatal(err)
	}
	if err := run(*id, peers, filepath.Join(*dir, "raft.log"), os.Stdin, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func parsePeers(list string) (map[uint64]string, error) {
	peers := map[uint64]string{}
	for _, p := range strings.Split(list, ",") {
		n, addr, _ := strings.Cut(p, "=")
		id, err := strconv.ParseUint(n, 10, 63)
		if err != nil {
			return nil, fmt.Errorf("-peers %q: %w", p, err)
		}
		peers[id] = addr
	}
	return peers, nil
}

// run runs a node until its input ends.
func run(id uint64, peers map[uint64]string, path string, in io.Reader, out io.Writer) error {
	m, err := async.New(async.Config{
		Name: entity.OSD(int64(id)), MaxBackoff: 500 * time.Millisecond,
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
	})
	if err != nil {
		return err
	}
	m.SetPolicy(entity.TypeOSD, msg.LosslessPeerReuse())
	at, err := netip.ParseAddrPort(peers[id])
	if err != nil {
		return err
	}
	if err := m.Bind(at); err != nil {
		return err
	}
	n, err := openNode(id, peers, path, out)
	if err != nil {
		return err
	}
	t, err := etcdraftmsgr.New(m, n.raft, etcdraftmsgr.Options{})
	if err != nil {
		return err
	}
	for p, addr := range peers {
		t.AddPeer(p, addr)
	}
	if err := m.Start(); err != nil {
		return err
	}
	commands := make(chan string)
	go func() {
		defer close(commands)
		for s := bufio.NewScanner(in); s.Scan(); {
			commands <- s.Text()
		}
	}()
	if err := n.loop(t.Send, commands); err != nil {
		return err
	}
	if err := t.Close(); err != nil {
		return err
	}
	n.raft.Stop()
	return m.Shutdown(context.Background())
}

// command does what a line of the input says. Nothing of it waits for the node's loop,
// which calls it.
func (n *node) command(line string) {
	verb, text, _ := strings.Cut(line, " ")
	switch verb {
	case "propose":
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			if err := n.raft.Propose(ctx, []byte(text)); err != nil {
				fmt.Fprintln(n.out, "refused", text, err)
			}
		}()
	case "campaign":
		go func() { _ = n.raft.Campaign(context.Background()) }()
	case "log":
		fmt.Fprintln(n.out, "log", len(n.lines), n.hash())
	default:
		fmt.Fprintln(n.out, "unknown", line)
	}
}

// config of a node of this example: 10 ticks of tick to an election.
func config(id uint64, s *raft.MemoryStorage, applied uint64) *raft.Config {
	raft.SetLogger(&raft.DefaultLogger{Logger: log.New(io.Discard, "", 0)})
	return &raft.Config{
		ID: id, ElectionTick: 10, HeartbeatTick: 1, Storage: s, Applied: applied,
		MaxSizePerMsg: 1 << 20, MaxInflightMsgs: 256, CheckQuorum: true, PreVote: true,
	}
}
