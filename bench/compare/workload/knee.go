package workload

import (
	"context"
	"errors"
	"fmt"
)

// kneeRounds is how many rounds of a closed loop find the most that a contestant
// does.
const kneeRounds = 3

// prepareOpen runs the self-test of the open loop and finds the knees of all
// contestants, once.
func (r *runner) prepareOpen(ctx context.Context, s Scenario) error {
	if r.knees != nil {
		return nil
	}
	r.knees = map[string]float64{}
	open, closed, err := selfTest()
	if r.openErr = err; err != nil {
		r.note("The open loop was not run: " + err.Error() + ".")
		return nil
	}
	r.note(fmt.Sprintf("Self-test of the open loop: a stall of %v put into a contestant shows as %v in its p99; "+
		"a closed loop shows %v.", stallFor, open, closed))
	r.note(fmt.Sprintf("Loads of the open loop are parts of what the same contestant did in a closed loop of %d "+
		"connections with %d requests of %d B in flight on each, the median of %d rounds.",
		kneeOf.Connections, kneeOf.Window, kneeOf.Size, kneeRounds))
	k := kneeOf
	k.Seconds = s.Seconds
	sub := runner{Config: r.Config, exe: r.exe}
	sub.Rounds = kneeRounds
	all, err := sub.rounds(ctx, k)
	if err != nil {
		return err
	}
	for i, rounds := range all {
		row := rowOf(&r.Contestants[i], k, rounds)
		r.knees[r.Contestants[i].Name] = row.Msgs
	}
	return nil
}

// offer is the rate of a contestant in s.
func (r *runner) offer(c *Contestant, s Scenario) (float64, error) {
	if s.Kind != Open {
		return 0, nil
	}
	if r.openErr != nil {
		return 0, r.openErr
	}
	rate := r.knees[c.Name] * s.Load
	if rate == 0 {
		return 0, errors.New("it did not get through the closed loop that finds its load")
	}
	return rate, nil
}
