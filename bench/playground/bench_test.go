package playground

import (
	"fmt"
	"testing"
)

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
