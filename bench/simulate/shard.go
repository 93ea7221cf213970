package simulate

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Shard is one of several parts of a range of seeds, from 0 up: what one machine runs of a
// campaign. The zero value is the whole.
type Shard struct{ I, Of int }

var errShard = errors.New("a shard is a number and how many there are, such as 0/4, 1/4, 2/4 and 3/4 of four")

// ParseShard reads "2/8": the third of eight. "" is the whole.
func ParseShard(s string) (Shard, error) {
	if s == "" {
		return Shard{}, nil
	}
	a, b, ok := strings.Cut(s, "/")
	i, err1 := strconv.ParseUint(a, 10, 31)
	of, err2 := strconv.ParseUint(b, 10, 31)
	switch {
	case !ok || err1 != nil || err2 != nil || of == 0:
		return Shard{}, errShard
	case i >= of:
		return Shard{}, fmt.Errorf("there is no shard %d of %d: they are 0 to %d", i, of, of-1)
	}
	return Shard{int(i), int(of)}, nil
}

// String is what ParseShard reads.
func (s Shard) String() string {
	if s == (Shard{}) {
		return "0/1"
	}
	return fmt.Sprintf("%d/%d", s.I, s.Of)
}

// Cut is the shard's part of the seeds: one after the other, and none is longer than
// another by more than one seed. An error says that there are fewer seeds than shards.
func (s Shard) Cut(all Seeds) (Seeds, error) {
	if s == (Shard{}) {
		return all, nil
	}
	n, of, i := uint64(all.Len()), uint64(s.Of), uint64(s.I)
	if n < of {
		return Seeds{}, fmt.Errorf("%d seeds cannot be cut into %d shards", n, of)
	}
	each, longer := n/of, n%of
	first := all.First + i*each + min(i, longer)
	if i < longer {
		each++
	}
	return Seeds{first, first + each - 1}, nil
}
