package dispatch_test

import (
	"fmt"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/dispatch"
	"github.com/asyncmsgr/asyncmsgr/eventloop/simnet"
)

// At most 100 messages and 64 MiB of clients are in dispatch at a time. At the bound the
// connections of clients are not read from, and those of everybody else are.
func ExampleThrottle() {
	h := simnet.New(1, simnet.Config{}).AddHost("osd.0", simnet.HostConfig{})
	server, err := async.New(async.Config{Name: entity.OSD(0), Stack: h, Executor: h, Rand: h.Rand})
	if err != nil {
		panic(err)
	}
	bytes := dispatch.NewThrottle(64 << 20)
	clients := msg.StatefulServer()
	clients.ThrottleMessages, clients.ThrottleBytes = dispatch.NewThrottle(100), bytes
	server.SetPolicy(entity.TypeClient, clients)
	server.SetPolicy(entity.TypeOSD, msg.LosslessPeer())

	bytes.SetLimit(16 << 20) // at any time: who waits is let in as soon as there is room
	fmt.Println(bytes.Stats().Limit>>20, "MiB,", bytes.Stats().Held, "held")
	// Output: 16 MiB, 0 held
}
