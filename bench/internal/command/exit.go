package command

// The exit codes. ExitCodes says them to users.
const (
	ExitOK      = 0   // the command did what was asked
	ExitFault   = 1   // it ran, and did not succeed
	ExitUsage   = 2   // the command line was not understood
	ExitSIGINT  = 130 // SIGINT ended it early: 128 and the signal's number, as shells have it
	ExitSIGTERM = 143 // SIGTERM did
)

// ExitCodes ends the help of each command.
const ExitCodes = `Exit codes: 0 it did what was asked; 1 it ran and did not succeed; 2 the command line was not
understood; 130 and 143 it was interrupted by SIGINT or SIGTERM and printed what it had until
then. A second signal ends it at once.

Flags may be written with one dash or two.`

// SecondsMax bounds how long a command is asked to run: more is a mistake.
const SecondsMax = 1_000_000
