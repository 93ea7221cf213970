package stream

import (
	"reflect"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// moved is what all tests together have counted so far.
var moved totals

type totals struct {
	mu  sync.Mutex
	sum Stats
}

func (t *totals) add(s Stats) {
	t.mu.Lock()
	defer t.mu.Unlock()
	addStats(&t.sum, s)
}

// addStats adds each number of s.
func addStats(sum *Stats, s Stats) {
	to, from := reflect.ValueOf(sum).Elem(), reflect.ValueOf(s)
	for i := range to.NumField() {
		if f := to.Field(i); f.CanUint() {
			f.SetUint(f.Uint() + from.Field(i).Uint())
		} else {
			f.SetInt(f.Int() + from.Field(i).Int())
		}
	}
}

// still are the numbers of a Stats that are 0, by name.
func still(s Stats) (names []string) {
	v := reflect.ValueOf(s)
	for i := range v.NumField() {
		if v.Field(i).IsZero() {
			names = append(names, v.Type().Field(i).Name)
		}
	}
	return names
}

// TestEveryCounterMoves runs the tests that are about what is counted.
func TestEveryCounterMoves(t *testing.T) {
	before := moved.sum
	for _, x := range scenes {
		t.Run(x.name, x.run)
	}
	after := moved.sum
	v, b := reflect.ValueOf(&after).Elem(), reflect.ValueOf(before)
	for i := range v.NumField() {
		if f := v.Field(i); f.CanUint() {
			f.SetUint(f.Uint() - b.Field(i).Uint())
		}
	}
	require.Empty(t, still(after))
}
