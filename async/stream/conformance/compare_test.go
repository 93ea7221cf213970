package conformance

import (
	"flag"
	"fmt"
	"slices"
	"testing"
	"time"
)

var rounds = flag.Int("compare", 0, "rounds of TestCompare; 0: it is skipped")

// TestCompare prints how long things take over a stream, over yamux and over plain TCP: in
// rounds of short runs by turns, since machines are not equally fast all the time; and of
// the rounds' ratios to yamux the median, with the least and the greatest.
//
//	GOWORK=off go test -run TestCompare -compare 20 -v .
func TestCompare(t *testing.T) {
	if *rounds == 0 {
		t.Skip("no -compare")
	}
	var ps []pair
	for _, r := range rivals {
		ps = append(ps, r.make(t))
	}
	for _, c := range []struct {
		name string
		n    int
		size int64 // of one write; 0: it is latency that counts
		run  func(p pair, n int)
	}{
		{"64 B there and back", 2000, 0, func(p pair, n int) { pingPong(t, p, n) }},
		{"writes of 1 KiB", 20000, 1 << 10, func(p pair, n int) { transfer(t, p, 1<<10, n) }},
		{"writes of 32 KiB", 2000, 32 << 10, func(p pair, n int) { transfer(t, p, 32<<10, n) }},
	} {
		took := make([][]float64, len(rivals)) // seconds for one
		for _, p := range ps {
			c.run(p, c.n/4) // warm
		}
		for range *rounds {
			for i, p := range ps {
				begin := time.Now()
				c.run(p, c.n)
				took[i] = append(took[i], time.Since(begin).Seconds()/float64(c.n))
			}
		}
		fmt.Printf("%s, %d rounds of %d\n", c.name, *rounds, c.n)
		for i, r := range rivals {
			var ratios []float64
			for k := range took[i] {
				if ratio := took[i][k] / took[1][k]; c.size == 0 {
					ratios = append(ratios, ratio)
				} else {
					ratios = append(ratios, 1/ratio)
				}
			}
			slices.Sort(ratios)
			slices.Sort(took[i])
			mid := took[i][len(took[i])/2]
			what := fmt.Sprintf("%.1f us", mid*1e6)
			if c.size != 0 {
				what = fmt.Sprintf("%.0f MB/s", float64(c.size)/mid/1e6)
			}
			fmt.Printf("  %-7s %10s   %.2f of yamux (%.2f to %.2f)\n", r.name, what,
				ratios[len(ratios)/2], ratios[0], ratios[len(ratios)-1])
		}
	}
}
