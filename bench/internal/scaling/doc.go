// Package scaling says how the messenger would do with more workers than a machine has
// processors for: Lines are what its workers share, each with a benchmark, and Model is the
// law that is fitted to what was measured with few workers. docs/SCALING.md explains both.
package scaling
