//go:build linux && (amd64 || arm64 || loong64)

package rivals

import "github.com/asyncmsgr/asyncmsgr/bench/compare/workload"

// notMessengers are the contestants that are not messengers. Those with dependencies of
// their own take part where the messenger has its network, see package netpollstack.
func notMessengers() []workload.Contestant {
	return []workload.Contestant{
		GRPC(), DRPC(false), DRPC(true), NetRPC(), NATS(), RawNet(), RawNetpoll(), RawTLS(), GRPCTLS(),
	}
}
