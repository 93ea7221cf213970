//go:build !(linux && (amd64 || arm64 || loong64))

package rivals

import "github.com/asyncmsgr/asyncmsgr/bench/compare/workload"

// CallsReference is the contestant that the others of Calls are compared with.
const CallsReference = "async-rpc"

// Calls are none where the messenger has no network.
func Calls() []workload.Contestant { return nil }
