//go:build linux && (amd64 || arm64 || loong64)

package rivals

import (
	"errors"
	"io"
	"slices"
	"sync"

	"github.com/asyncmsgr/asyncmsgr/bench/compare/workload"
	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"
)

// grpcFan is the server of GRPC in the FanOut kind: server streaming, a stream for each
// connection. SendMsg leaves the message to the connection's writer, so one goroutine can
// call it for all of them; the payload is not copied before it is framed.
type grpcFan struct {
	mu      sync.Mutex
	streams []grpc.ServerStream // what is in it does not change
}

func serveGRPCFan(workload.Options) (workload.Server, error) {
	f := &grpcFan{}
	service := grpcService
	service.Streams = slices.Clone(service.Streams)
	service.Streams[0].Handler = f.serve
	return startGRPC(&service)
}

func (f *grpcFan) serve(_ any, s grpc.ServerStream) error {
	if err := s.SendHeader(nil); err != nil { // the client waits for it
		return err
	}
	f.mu.Lock()
	f.streams = append(f.streams, s)
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		f.streams = slices.DeleteFunc(slices.Clone(f.streams), func(x grpc.ServerStream) bool { return x == s })
		f.mu.Unlock()
	}()
	var m grpcMessage
	for {
		if err := s.RecvMsg(&m); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		payload := m.data.Materialize()
		m.data.Free()
		f.mu.Lock()
		streams := f.streams
		f.mu.Unlock()
		for _, to := range streams {
			_ = to.SendMsg(&grpcMessage{mem.BufferSlice{mem.SliceBuffer(payload)}}) // it ends by itself
		}
	}
}
