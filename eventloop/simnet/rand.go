package simnet

import (
	"hash/fnv"
	"math/rand/v2"
)

// split derives a generator from the seed and a name: what others draw does not
// change it.
func split(seed uint64, name string) *rand.PCG {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name))
	return rand.NewPCG(seed, h.Sum64())
}
