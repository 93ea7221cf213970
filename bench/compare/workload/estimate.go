package workload

import "time"

// Estimate is about how long Run takes with cfg, if nothing hangs.
func Estimate(cfg Config) (total time.Duration) {
	open := false
	for _, s := range cfg.Scenarios {
		total += EstimateScenario(cfg, s)
		if s.Kind == Open && !open {
			open = true
			k := kneeOf
			k.Seconds = s.Seconds
			cfg := cfg
			cfg.Rounds = kneeRounds
			total += EstimateScenario(cfg, k) + 2*time.Second // and the self-test
		}
	}
	return total
}

// EstimateScenario is about how long Run takes for s with cfg.
func EstimateScenario(cfg Config, s Scenario) (total time.Duration) {
	if s.Seconds == 0 {
		s.Seconds = cfg.Seconds
	}
	for _, c := range s.among(cfg.Contestants) {
		if c.skips(s) != "" {
			continue
		}
		total += time.Duration(cfg.Rounds) * s.takes()
		if s.counts() {
			total += countFor
		}
	}
	return total
}

// takes is about how long a round takes on a machine with nothing else to do:
// processes start, connect, warm up, measure and end.
func (s *Scenario) takes() time.Duration {
	t := 100*time.Millisecond + time.Duration(s.Connections)*400*time.Microsecond
	if s.idle() {
		return t
	}
	o := order{Seconds: s.Seconds}
	t += o.warmUp() + o.duration()
	switch s.Kind {
	case Faults, Priority: // until all is answered, or lost
		t += 150 * time.Millisecond
	case Open:
		t += 50 * time.Millisecond
	}
	return t
}
