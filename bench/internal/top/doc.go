// Package top is msgr top: the connections of the messengers of a process, over its admin
// socket, by rate, queue or faults. A Sample is what the socket said at one time, a Frame what
// happened between two of them, and a Screen what of that is seen. None of these reads a clock or
// does I/O; Watch, for a terminal, and Lines, for a pipe, do.
package top
