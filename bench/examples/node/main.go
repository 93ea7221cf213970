// Command node is what a small daemon on asyncmsgr looks like. It sends each of its peers
// a numbered line every second, prints what they send, and takes its time to end well:
//
//	go run ./bench/examples/node -listen 127.0.0.1:7001 -peer 127.0.0.1:7002
//	go run ./bench/examples/node -listen 127.0.0.1:7002 -peer 127.0.0.1:7001
//
// Start one of them later, stop it and start it again: the other one logs that it cannot
// connect, tries again, and goes on when it can.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net/netip"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

const (
	typeLine = 1000           // our one type of message; what the numbers mean is our own affair
	typeNode = entity.TypeOSD // the types of nodes are Ceph's; where all are equal, any one does
)

// node is told of what happens: async/msg's dispatcher.go has all that can be told.
type node struct {
	out  *log.Logger
	mu   sync.Mutex
	lost []string
}

// Dispatch handles a message, on a goroutine of a pool, one at a time for each peer.
func (n *node) Dispatch(m *msg.Message) bool {
	n.out.Printf("%s says %s", m.Source(), m.Data)
	return true
}

// HandleConnect and HandleAccept: a session is up, that we asked for or that the peer did.
func (n *node) HandleConnect(c msg.Connection) { n.out.Printf("connected with %s", c.PeerName()) }
func (n *node) HandleAccept(c msg.Connection)  { n.out.Printf("connected with %s", c.PeerName()) }

// HandleUndeliverable is told of each message that was sent and cannot be delivered: the
// peer was started anew, and what waited was for the old one; or we end before the peer is
// back. It must not block, as printing may, so it only makes a note.
func (n *node) HandleUndeliverable(c msg.Connection, m *msg.Message, reason error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lost = append(n.lost, fmt.Sprintf("%s for %s is not delivered: %v", m.Data, c.PeerName(), reason))
}

func (n *node) printLost() {
	n.mu.Lock()
	lost := n.lost
	n.lost = nil
	n.mu.Unlock()
	for _, what := range lost {
		n.out.Print(what)
	}
}

// run is the daemon, until ctx ends.
func run(ctx context.Context, args []string, stdout io.Writer) error {
	listen, peers := netip.MustParseAddrPort("127.0.0.1:7001"), []entity.AddrVec(nil)
	flags := flag.NewFlagSet("node", flag.ContinueOnError)
	flags.TextVar(&listen, "listen", listen, "IP address and port to listen at")
	flags.Func("peer", "IP address and port of a peer; may be given several times", func(s string) error {
		addrs, err := entity.ParseAddrVec(s) // without a nonce ("/7") behind it: whichever process listens there
		peers = append(peers, addrs)
		return err
	})
	every := flags.Duration("every", time.Second, "how often a line is sent")
	grace := flags.Duration("grace", 5*time.Second, "how long the end may take")
	if err := flags.Parse(args); err != nil {
		return err
	}

	m, err := async.New(async.Config{Name: entity.Name{Type: typeNode, Num: int64(listen.Port())}})
	if err != nil {
		return err
	}
	n := &node{out: log.New(stdout, "", 0)}
	m.SetDefaultPolicy(msg.LosslessPeer()) // either side connects; a connection that breaks is resumed
	m.AddDispatcherTail(n)
	if err := m.Bind(listen); err != nil {
		return err
	}
	if err := m.Start(); err != nil {
		return err
	}
	n.out.Printf("%s listens at %s", m.Name(), listen)

	last := 0
	for tick := time.NewTicker(*every); ctx.Err() == nil; {
		last++
		for _, p := range peers { // SendTo connects if need be, and does not wait for that
			line := &msg.Message{Type: typeLine, Data: fmt.Appendf(nil, "line %d", last)}
			if err := m.SendTo(line, typeNode, p); err != nil { // the queue is full, for example
				n.out.Printf("line %d for %s is not sent: %v", last, p, err)
			}
		}
		n.printLost()
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}

	// Drain lets what was sent arrive, and then shuts down. A peer may be away for longer
	// than we want to wait, so it has a deadline; Wait waits until it is known what is lost.
	n.out.Printf("ending after line %d", last)
	limited, cancel := context.WithTimeout(context.Background(), *grace)
	defer cancel()
	err = m.Drain(limited)
	m.Wait()
	n.printLost()
	return err
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil && !errors.Is(err, flag.ErrHelp) {
		log.Fatal("node: ", err)
	}
}
