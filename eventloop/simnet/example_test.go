package simnet_test

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	"github.com/asyncmsgr/asyncmsgr/eventloop"
	"github.com/asyncmsgr/asyncmsgr/eventloop/simnet"
)

// frames is a Framer: a frame is a letter, a digit and so many bytes.
type frames struct{}

func (frames) Next(b []byte) (simnet.Frame, bool) {
	if len(b) < 2 {
		return simnet.Frame{}, false // ask again when there is more
	}
	return simnet.Frame{Tag: b[0], Name: string(b[:1]), Size: 2 + int64(b[1]-'0')}, true
}

// speaker writes something when it is connected, and shows what it reads.
type speaker struct {
	t    eventloop.Transport
	says string
}

func (s *speaker) HandleConnected(t eventloop.Transport) { s.t = t; t.WantFlush() }
func (s *speaker) ReadInto() []byte                      { return nil }
func (s *speaker) HandleRead(_ int, b []byte)            { fmt.Printf("read %s\n", b) }
func (s *speaker) HandleEOF()                            {}
func (s *speaker) HandleFlush()                          { _, _ = s.t.Write([][]byte{[]byte(s.says)}) }
func (s *speaker) HandleClosed(err error)                { fmt.Println("reset:", err != nil) }

// talk has a client say something to a server.
func talk(n *simnet.Network, says string) {
	server, client := n.AddHost("server", simnet.HostConfig{}), n.AddHost("client", simnet.HostConfig{})
	addr := netip.AddrPortFrom(server.Addr(), 80)
	_, err := server.Listen(addr, eventloop.ListenConfig{}, func(s eventloop.Socket) {
		server.Worker(0).Adopt(s, &speaker{})
	})
	if err != nil {
		panic(err)
	}
	w := client.Worker(0)
	_ = w.Post(eventloop.TaskFunc(func() { w.Dial(addr, eventloop.DialConfig{}, &speaker{says: says}) }))
}

// Stop before the server reads a commit, look around, and go on.
func Example_breakpoint() {
	framer := func(simnet.Conn, bool) simnet.Framer { return frames{} }
	n := simnet.New(1, simnet.Config{Framer: framer, Smooth: true})
	n.Break("commit", "server", simnet.Reads, simnet.Tag('c'))
	talk(n, "p2ab"+"c0")
	err := n.Run(time.Second)
	var hit *simnet.Hit
	if errors.As(err, &hit) {
		fmt.Println(hit.Host, hit.Op, hit.Frame.Name)
		hit.Resume() // or hit.Conn.Kill(), or Host.Crash, or nothing
	}
	fmt.Println(n.Run(time.Second))
	// Output:
	// read p2ab
	// server reads c
	// read c0
	// <nil>
}

// A gate holds the connects of all clients, and decides who comes first.
func Example_gate() {
	n := simnet.New(1, simnet.Config{})
	talk(n, "hello")
	gate := simnet.NewGate("connects")
	n.Add("hold connects", func(p *simnet.Packet) simnet.Verdict {
		if p.Kind == simnet.Syn {
			return gate.Hold()
		}
		return simnet.Pass()
	})
	_ = n.Run(time.Second)
	for i, p := range gate.Held() {
		fmt.Println(i, p.Kind, p.From, p.To)
	}
	gate.Release(0)
	_ = n.Run(time.Second)
	// Output:
	// 0 syn client server
	// read hello
}

func ExampleNetwork_Chart() {
	framer := func(simnet.Conn, bool) simnet.Framer { return frames{} }
	link := simnet.LinkConfig{Latency: simnet.Fixed(time.Millisecond)}
	n := simnet.New(1, simnet.Config{Framer: framer, Smooth: true, Link: link})
	chart := n.Chart(simnet.ChartConfig{Hosts: []string{"client", "server"}, To: time.Minute, Max: 100})
	talk(n, "p2abc0")
	_ = n.Run(time.Second)
	_, _ = chart.WriteTo(os.Stdout)
	// Output:
	// read p2abc0
	// sequenceDiagram
	//     participant h0 as client
	//     participant h1 as server
	//     h0->>h1: 1.001ms #35;1 syn
	//     h1->>h0: 2.001ms #35;1 synack
	//     h0->>h1: 3.001ms #35;1 p + c 0..6
}
