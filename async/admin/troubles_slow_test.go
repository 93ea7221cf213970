//go:build linux && (amd64 || arm64 || loong64)

package admin

import (
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/dispatch"
	"github.com/stretchr/testify/require"
)

func patient(c *async.Config) { c.DispatchLimit = -1 }

func limited(c *async.Config) { c.DispatchLimit = 50 * time.Millisecond }

// What is slow, and memory that grows.
var _ = stage(map[string]func(x *scene){
	"callback": func(x *scene) {
		srv := x.node(entity.OSD(0), msg.StatefulServer(), x.gate(), limited)
		x.send(x.up(x.client(), srv.Addrs()), 10)
	},
	"all_jobs": func(x *scene) {
		srv := x.node(entity.OSD(0), msg.StatefulServer(), x.gate(), limited, func(c *async.Config) {
			c.DispatchWidth, c.DispatchWidthMax = 1, 1
		})
		x.send(x.up(x.client(), srv.Addrs()), 10)
	},
	"executor": func(x *scene) {
		jobs := new(dispatch.Inline)
		srv := x.server(limited, func(c *async.Config) { c.Executor = jobs })
		x.send(x.up(x.client(), srv.Addrs()), 10)
		over := make(chan struct{})
		x.Cleanup(func() { <-over })
		g := x.gate()
		go func() {
			defer close(over)
			<-g
			jobs.Run()
		}()
	},
	"fast_dispatch": func(x *scene) {
		srv := x.node(entity.OSD(0), msg.StatefulServer(), quick{}, func(c *async.Config) { c.FastDispatchLimit = 1 })
		x.send(x.up(x.client(), srv.Addrs()), 10)
	},
	"dispatch_throttle": func(x *scene) {
		srv := x.node(entity.OSD(0), msg.StatefulServer(), x.gate(), patient, func(c *async.Config) {
			c.DispatchThrottleBytes = 1000
		})
		for range 6 { // each may have a quarter
			x.send(x.up(x.client(), srv.Addrs()), 200)
		}
	},
	"conn_throttle": func(x *scene) {
		srv := x.node(entity.OSD(0), msg.StatefulServer(), x.gate(), patient, func(c *async.Config) {
			c.DispatchThrottleBytes = 1000
		})
		c := x.up(x.client(), srv.Addrs())
		x.send(c, 200)
		x.send(c, 200)
	},
	"policy_throttle": func(x *scene) {
		srv := x.node(entity.OSD(0), msg.StatefulServer(), x.gate(), patient)
		srv.SetPolicyThrottlers(entity.TypeClient, dispatch.NewThrottle(1), nil)
		c := x.up(x.client(), srv.Addrs())
		x.send(c, 900)
		x.send(c, 900)
	},
	"queue": func(x *scene) {
		srv := x.node(entity.OSD(0), msg.StatefulServer(), x.gate(), patient, func(c *async.Config) {
			c.DispatchWidth = 1
		})
		a, b := x.up(x.client(), srv.Addrs()), x.up(x.client(), srv.Addrs())
		x.send(a, 10)
		x.send(b, 10)
	},
	"high_water": func(x *scene) {
		cl := x.client(func(c *async.Config) { c.SendHighWater = 100 << 10 })
		x.send(x.connect(cl, x.listening("")), 200<<10)
	},
	"absent": func(x *scene) {
		srv, cl := x.server(), x.client()
		x.up(cl, srv.Addrs())
		require.EqualValues(x, 1, srv.Stats().Accepted)
		shutdown(x, cl)
	},
})

// quick takes messages on the worker.
type quick struct{ echo }

func (quick) CanFastDispatch(*msg.Message) bool { return true }
func (quick) FastDispatch(m *msg.Message)       { m.Release() }
