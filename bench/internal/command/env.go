package command

// MainEnv is set for processes that are to be the command line: a test's binary obeys it.
const MainEnv = "MSGR_BENCH_MAIN"

// ChildEnv is set for the processes of a comparison: what becomes of them when a terminal
// interrupts all its processes their parent decides.
const ChildEnv = "MSGR_BENCH_CEPH_CHILD"
