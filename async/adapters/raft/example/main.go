// Command example is a log on three nodes: what one accepts all have, in one order, and
// what is acknowledged outlives any one of them.
package main

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	raftmsgr "github.com/asyncmsgr/asyncmsgr/async/adapters/raft"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/hashicorp/raft"
)

// journal is what a node does with the log: it hands the lines to whoever reads the channel.
type journal chan string

func (j journal) Apply(l *raft.Log) any               { j <- string(l.Data); return nil }
func (j journal) Snapshot() (raft.FSMSnapshot, error) { return nil, errors.New("kept in full") }
func (j journal) Restore(r io.ReadCloser) error       { return r.Close() }

// start starts node i of servers. A node that is to come back keeps its stores in files.
func start(i int, servers []raft.Server) (*raft.Raft, journal) {
	m := must(async.New(async.Config{Name: entity.OSD(int64(i))}))
	m.SetDefaultPolicy(msg.LosslessPeerReuse())
	check(m.Bind(netip.MustParseAddrPort(string(servers[i].Address))))
	transport := must(raftmsgr.New(m, raftmsgr.Options{}))
	check(m.Start())

	conf, store, snapshots := raft.DefaultConfig(), raft.NewInmemStore(), raft.NewInmemSnapshotStore()
	conf.LocalID, conf.LogOutput = servers[i].ID, io.Discard
	check(raft.BootstrapCluster(conf, store, store, snapshots, transport, raft.Configuration{Servers: servers}))
	lines := make(journal, 100)
	return must(raft.NewRaft(conf, lines, store, store, snapshots, transport)), lines
}

func main() {
	var servers []raft.Server
	for i := range 3 {
		addr := fmt.Sprintf("127.0.0.%d:7001", i+1) // three hosts
		servers = append(servers, raft.Server{ID: raft.ServerID(addr), Address: raft.ServerAddress(addr)})
	}
	nodes, journals := map[raft.ServerAddress]*raft.Raft{}, map[raft.ServerAddress]journal{}
	for i, s := range servers {
		nodes[s.Address], journals[s.Address] = start(i, servers)
	}
	apply := func(line string) raft.ServerAddress {
		for { // until there is a leader, and it has found a majority
			for addr, node := range nodes {
				if node.Apply([]byte(line), time.Second).Error() == nil {
					return addr
				}
			}
			time.Sleep(10 * time.Millisecond)
		}
	}

	leader := apply("hello")
	check(nodes[leader].Shutdown().Error()) // the others elect another one
	delete(nodes, leader)
	apply("again")
	for addr := range nodes {
		fmt.Println(<-journals[addr], <-journals[addr])
	}
}

func must[T any](v T, err error) T { check(err); return v }

func check(err error) {
	if err != nil {
		panic(err)
	}
}
