//go:build !(linux && (amd64 || arm64 || loong64))

package rivals

import "github.com/asyncmsgr/asyncmsgr/bench/compare/workload"

func notMessengers() []workload.Contestant {
	return []workload.Contestant{NetRPC(), RawNet(), RawTLS()}
}
