package playground

import (
	"fmt"
	"testing"
)

// BenchmarkRun is a minute of a ring, as fast as it goes.
func BenchmarkRun(b *testing.B) {
	b.ReportAllocs()
	for range b.N {
		e := &Engine{}
		e.Handle([]byte(`{"do":"preset","name":"ring"}`))
		e.Handle([]byte(`{"do":"advance","to":60e9}`))
	}
}

// BenchmarkFrame is a picture of 1.67 ms of virtual time: 60 a second at a tenth of the speed.
func BenchmarkFrame(b *testing.B) {
	for _, name := range []string{"ring", "gossip"} {
		b.Run(name, func(b *testing.B) {
			e := &Engine{}
			e.Handle([]byte(`{"do":"preset","name":"` + name + `"}`))
			e.Handle([]byte(`{"do":"advance","to":1e9}`))
			to := 1e9
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				to += 1.67e6
				e.Handle(fmt.Appendf(nil, `{"do":"advance","to":%f}`, to))
			}
		})
	}
}
