// Command echo is the program of the README: a server and a client in one
// process, over real sockets on loopback.
package main

import (
	"context"
	"fmt"
	"log"
	"net/netip"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// echo answers every message with the same bytes.
type echo struct{}

func (echo) Dispatch(m *msg.Message) bool {
	check(m.Connection().Send(&msg.Message{Type: m.Type, TID: m.TID, Data: m.Data}))
	return true
}

// inbox hands every message to whoever reads the channel.
type inbox chan *msg.Message

func (b inbox) Dispatch(m *msg.Message) bool { b <- m; return true }

func main() {
	server := must(async.New(async.Config{Name: entity.OSD(0)}))
	server.SetDefaultPolicy(msg.StatefulServer())
	server.AddDispatcherTail(echo{})
	check(server.Bind(netip.MustParseAddrPort("127.0.0.1:0")))
	check(server.Start())

	client, answers := must(async.New(async.Config{Name: entity.Client(7)})), make(inbox)
	client.SetDefaultPolicy(msg.LosslessClient())
	client.AddDispatcherTail(answers)
	check(client.Start())

	conn := must(client.ConnectTo(entity.TypeOSD, server.Addrs()))
	check(conn.Send(&msg.Message{Type: 1000, Data: []byte("hello")})) // returns at once
	answer := <-answers
	fmt.Printf("%s says %s\n", answer.Source(), answer.Data)

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	check(client.Drain(ctx)) // lets arrive what was sent, and shuts down
	check(server.Drain(ctx))
}

func must[T any](v T, err error) T { check(err); return v }

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
