// Package perf holds the benchmarks of whole messengers: they compare with a
// floor in alternating rounds of one run and report the ratio of the medians.
// docs/BENCHMARKS.md says how to run them and what they gave.
package perf
