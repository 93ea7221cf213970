package cephperf

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestReply: a reply counts once, one to nothing is odd, and late ones do not count.
func TestReply(t *testing.T) {
	c := &client{network: &network{Config: Config{Jobs: 1, Window: 2, Messages: 2}}}
	j := newJob(c)
	c.jobs = []*job{j}
	c.left.Add(1)
	j.sent, j.since[0], j.since[1] = 2, 0, 0
	j.reply(1)
	require.Equal(t, 1, j.answered)
	j.reply(1) // again
	j.reply(2) // there is no such slot
	require.Equal(t, 1, j.answered)
	var r Result
	c.sum(&r)
	require.EqualValues(t, 2, r.Odd)
	require.EqualValues(t, 1, r.Lost)
	c.forget()
	j.reply(0)
	require.Equal(t, 1, j.answered)
	c.left.Wait()
}
