package workload

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// cutClient answers at once, until it is cut: then it keeps what is sent, or
// refuses it.
type cutClient struct {
	answered func(conn, slot int)
	in       chan [2]int
	ctl      chan func()
	refuse   bool
	cut      bool
	kept     [][2]int
}

func newCutClient(refuse bool) *cutClient {
	c := &cutClient{in: make(chan [2]int, 1<<16), ctl: make(chan func(), 1), refuse: refuse}
	return c
}

func (c *cutClient) Connect(_ int, answered func(conn, slot int)) error {
	c.answered = answered
	go func() {
		for {
			select {
			case f := <-c.ctl:
				if f == nil {
					return
				}
				f()
			case x := <-c.in:
				if c.cut {
					c.kept = append(c.kept, x)
				} else {
					answered(x[0], x[1])
				}
			}
		}
	}()
	return nil
}

func (c *cutClient) Send(conn, slot int, _ []byte) error {
	if c.cut && c.refuse {
		return errors.New("cut")
	}
	c.in <- [2]int{conn, slot}
	return nil
}

func (c *cutClient) Stop() error {
	close(c.ctl)
	return nil
}

// do runs f where answers are given.
func (c *cutClient) do(f func()) {
	done := make(chan struct{})
	c.ctl <- func() { f(); close(done) }
	<-done
}

func runFaults(t *testing.T, c *cutClient, after func(c *cutClient)) answer {
	t.Helper()
	l := newFaults(c, Scenario{Kind: Faults, Connections: 2, Size: 1, Window: 8})
	l.cut = func() (int, error) {
		c.do(func() { c.cut = true; after(c) })
		return 1, nil
	}
	require.NoError(t, l.connect())
	l.start()
	a, err := l.measure(5 * time.Millisecond)
	require.NoError(t, err)
	l.stop()
	require.NoError(t, c.Stop())
	require.Positive(t, a.Msgs)
	return a
}

// TestFaultsNothingLost: a contestant that goes on after the cut loses nothing.
func TestFaultsNothingLost(t *testing.T) {
	a := runFaults(t, newCutClient(false), func(c *cutClient) { c.cut = false })
	require.Zero(t, a.Lost)
	require.Zero(t, a.Duplicated)
	require.Positive(t, a.Drain)
}

// TestFaultsDuplicated: answers given twice are counted.
func TestFaultsDuplicated(t *testing.T) {
	a := runFaults(t, newCutClient(false), func(c *cutClient) {
		c.answered(0, 0)
		c.answered(1, 3)
		c.cut = false
	})
	require.Zero(t, a.Lost)
	require.EqualValues(t, 2, a.Duplicated)
}

// TestFaultsLost: the requests of a contestant that loses its connections for good
// are lost, and those that it refuses are not.
func TestFaultsLost(t *testing.T) {
	a := runFaults(t, newCutClient(true), func(*cutClient) {})
	require.EqualValues(t, 2*8, a.Lost)
	require.Zero(t, a.Duplicated)
	require.EqualValues(t, -1, a.Drain)
}
