package asynctest_test

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/asynctest"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/eventloop/simnet"
)

// Five OSDs, of which two are cut off from the others for a minute.
func ExampleCluster() {
	tb := &exampleTB{} // in a test: t
	defer tb.end()

	c := asynctest.NewCluster(tb, asynctest.Options{Seed: 1, N: 5})
	for from := range 5 {
		for to := range 5 {
			if from != to {
				_ = c.Send(from, to, 1000, 0)
			}
		}
	}
	c.Until("everything", c.Complete)

	wall := c.Partition([]int{0, 1}, []int{2, 3, 4})
	for i := range 100 {
		_ = c.Send(i%5, (i+2)%5, 1000, 0)
	}
	c.Run(time.Minute) // each side goes on by itself
	_, arrived := c.Tracked()
	fmt.Println(arrived, "arrived while the network was parted")

	wall.Lift()
	c.Until("the rest", c.Complete)
	c.CheckExactlyOnce()
	sent, arrived := c.Tracked()
	fmt.Println(arrived, "of", sent)
	// Output:
	// 40 arrived while the network was parted
	// 120 of 120
}

// A messenger on a simulated host needs three fields of its Config.
func Example_host() {
	net := simnet.New(1, simnet.Config{})
	start := func(name entity.Name) *async.Messenger {
		h := net.AddHost(name.String(), simnet.HostConfig{})
		m, err := async.New(async.Config{Name: name, Stack: h, Executor: h, Rand: h.Rand})
		if err != nil {
			panic(err)
		}
		if err := m.Bind(netip.AddrPortFrom(h.Addr(), 6800)); err != nil {
			panic(err)
		}
		m.SetDefaultPolicy(msg.LosslessPeer())
		return m
	}
	a, b := start(entity.OSD(0)), start(entity.OSD(1))
	got := ""
	b.AddDispatcherTail(dispatchFunc(func(m *msg.Message) bool {
		got = string(m.Front)
		return true
	}))
	for _, m := range []*async.Messenger{a, b} {
		if err := m.Start(); err != nil {
			panic(err)
		}
	}

	// The first packet with bytes is cut in the middle; the messenger comes again.
	net.Add("cut", simnet.Once(simnet.CutAt(30, true, nil)))
	if err := a.SendTo(&msg.Message{Type: 1, Front: []byte("hello")}, entity.TypeOSD, b.Addrs()); err != nil {
		panic(err)
	}
	err := net.RunUntil(func() bool { return got != "" }, time.Minute)
	fmt.Println(got, err, a.Stats().Faults)
	// Output: hello <nil> 1
}

type dispatchFunc func(m *msg.Message) bool

func (f dispatchFunc) Dispatch(m *msg.Message) bool { return f(m) }
