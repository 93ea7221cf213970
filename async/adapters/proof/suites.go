package main

import "time"

// suite is the tests of one package, and how the adapter gets into it.
type suite struct {
	name    string
	adapter string // folder under async/adapters, whose go.mod says which version
	module  string // the third party's module; "" for tests of the adapter's own
	pkg     string // the package's folder in that module

	// inPackage is the package as part of which the adapter's files are compiled; "" if
	// it can be imported. swap is a folder of testdata/swap with what is added besides.
	inPackage, swap string
	edits           []edit

	env, plainEnv []string // of both ways; of the way without the adapter in addition
	tests         string   // which ones, a regular expression
	// without names tests that say nothing about the adapter, and why.
	without map[string]string

	alone    bool          // there is no way without the adapter
	oneByOne bool          // the two ways cannot run at the same time
	shards   int           // processes that share the tests
	timeout  time.Duration // of one process; 0: four minutes
	lane     string        // suites of one lane run one after the other
}

func (s suite) limit() time.Duration {
	if s.timeout == 0 {
		return 4 * time.Minute
	}
	return s.timeout
}

// edit replaces old by new in a file of the third party's package.
type edit struct {
	file, old, new string
	times          int // how often old has to be there; 0: at least once
	remove         bool
}

// suites are all of them.
var suites = []suite{raftSuite, memberlistSuite, raftTestSuite, etcdSuite, grpcSuite}

// raftSuite: the transport in memory and the one of the integration tests are the
// adapter's, and NetworkTransport has the adapter's StreamLayer.
var raftSuite = suite{
	name: "hashicorp/raft", adapter: "raft", module: "github.com/hashicorp/raft", pkg: ".",
	inPackage: "raft", swap: "raft", tests: ".", env: []string{"INTEG_TESTS=1"}, shards: 2, lane: "raft",
	edits: []edit{
		{file: "inmem_transport.go", remove: true},
		{file: "inmem_transport_test.go", remove: true},
		{file: "integ_test.go", old: "*NetworkTransport", new: "*swapTransport", times: 1},
		{file: "integ_test.go", old: "NewTCPTransport(", new: "swapTCPTransport("},
		{file: "tcp_transport.go", old: `net.Listen("tcp", bindAddr)`, new: "swapListen(bindAddr)", times: 1},
		{file: "tcp_transport.go", old: "list.(*net.TCPListener)", new: "list", times: 1},
		{file: "tcp_transport.go", old: "*net.TCPListener", new: "*swapLayer", times: 1},
		{
			file: "tcp_transport.go", old: `net.DialTimeout("tcp", string(address), timeout)`,
			new: "t.listener.Dial(address, timeout)", times: 1,
		},
	},
}

// memberlistSuite: what takes the place of NetTransport in each Memberlist of the tests,
// and of the sockets by which some of them speak with one.
var memberlistSuite = suite{
	name: "hashicorp/memberlist", adapter: "memberlist", module: "github.com/hashicorp/memberlist", pkg: ".",
	inPackage: "memberlist", swap: "memberlist", tests: ".", oneByOne: true, lane: "memberlist",
	edits: []edit{
		{file: "memberlist.go", old: "*NetTransport", new: "*swapTransport", times: 2},
		{file: "memberlist.go", old: "NewNetTransport(nc)", new: "newSwapTransport(nc)", times: 1},
		{file: "net_test.go", old: "func listenUDP(", new: "func listenRealUDP("},
		{file: "net_test.go", old: `net.Dial("tcp", addr)`, new: "swapDial(addr)", times: 1},
		{file: "net_test.go", old: "var tcp *net.TCPListener", new: "var tcp *swapListener", times: 1},
		{file: "net_test.go", old: `net.ListenTCP("tcp", tcpAddr)`, new: "swapListen(tcpAddr)", times: 1},
	},
}

// raftTestSuite: etcd-raft's own network of nodes, whose messages go over the adapter.
var raftTestSuite = suite{
	name: "etcd-raft rafttest", adapter: "etcdraft", module: "go.etcd.io/raft/v3", pkg: "rafttest",
	swap: "rafttest", tests: "Basic|Restart|Pause", shards: 1, lane: "memberlist",
	edits: []edit{
		{
			file: "network.go", old: "return &nodeNetwork{id: id, raftNetwork: rn}",
			new: "return newSwapNetwork(id, rn)", times: 1,
		},
		{
			file: "network.go", old: "	select {\n	case to <- cm:",
			new: "	if swapSend(rn, cm) {\n		return\n	}\n	select {\n	case to <- cm:", times: 1,
		},
	},
}

// etcdSuite: three processes, one of which is killed.
var etcdSuite = suite{
	name: "etcd-raft, three processes", adapter: "etcdraft", pkg: "example", tests: ".", alone: true,
	lane: "memberlist",
}

// grpcSuite: grpc's interoperability tests, over TCP and over streams.
var grpcSuite = suite{
	name: "grpc interop", adapter: "grpc", pkg: ".", tests: "TestInterop", lane: "memberlist",
	plainEnv: []string{"ASYNCMSGR_PROOF_TCP=1"},
}
