package workload

// counter begins to count the system calls of processes; stop ends that and
// returns how many there were. Counting slows the processes down, so it is never on
// while something else is measured.
type counter func(pids []int) (stop func() (int64, error), err error)
