package grpcmsgr

import (
	"context"
	"net"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/interop"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
)

// The tests of this file are grpc's interoperability tests, those that need no credentials
// of a cloud. They end the process when they fail (grpclog's Fatal). With
// ASYNCMSGR_PROOF_TCP they run over TCP, to compare with.

type (
	unary = func(context.Context, testgrpc.TestServiceClient, ...grpc.CallOption)
	conns = func(context.Context, *grpc.ClientConn)
)

// do runs a test with a client of the test service.
func do(t *testing.T, f unary) {
	onConn(t, func(ctx context.Context, cc *grpc.ClientConn) { f(ctx, testgrpc.NewTestServiceClient(cc)) })
}

// onConn runs a test with a connection to a server of the test service.
func onConn(t *testing.T, f conns) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	s := grpc.NewServer()
	testgrpc.RegisterTestServiceServer(s, interop.NewTestServer())
	opts := []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}
	var ln net.Listener
	if os.Getenv("ASYNCMSGR_PROOF_TCP") != "" {
		var err error
		ln, err = net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
	} else {
		server, _ := newNet(t, 1, "127.0.0.1:0")
		client, _ := newNet(t, 2, "127.0.0.1:0")
		ln = server.Listener()
		opts = append(opts, client.DialOption())
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(ln) }()
	cc, err := grpc.NewClient("passthrough:///"+ln.Addr().String(), opts...)
	require.NoError(t, err)
	f(ctx, cc)
	require.NoError(t, cc.Close())
	s.Stop()
	require.NoError(t, <-served)
}

func TestInteropEmptyUnary(t *testing.T)               { do(t, interop.DoEmptyUnaryCall) }
func TestInteropLargeUnary(t *testing.T)               { do(t, interop.DoLargeUnaryCall) }
func TestInteropClientStreaming(t *testing.T)          { do(t, interop.DoClientStreaming) }
func TestInteropServerStreaming(t *testing.T)          { do(t, interop.DoServerStreaming) }
func TestInteropPingPong(t *testing.T)                 { do(t, interop.DoPingPong) }
func TestInteropEmptyStream(t *testing.T)              { do(t, interop.DoEmptyStream) }
func TestInteropTimeoutOnSleepingServer(t *testing.T)  { do(t, interop.DoTimeoutOnSleepingServer) }
func TestInteropCancelAfterBegin(t *testing.T)         { do(t, interop.DoCancelAfterBegin) }
func TestInteropCancelAfterFirstResponse(t *testing.T) { do(t, interop.DoCancelAfterFirstResponse) }
func TestInteropCustomMetadata(t *testing.T)           { do(t, interop.DoCustomMetadata) }
func TestInteropStatusCodeAndMessage(t *testing.T)     { do(t, interop.DoStatusCodeAndMessage) }
func TestInteropSpecialStatusMessage(t *testing.T)     { do(t, interop.DoSpecialStatusMessage) }
func TestInteropUnimplementedMethod(t *testing.T)      { onConn(t, interop.DoUnimplementedMethod) }

func TestInteropUnimplementedService(t *testing.T) {
	onConn(t, func(ctx context.Context, cc *grpc.ClientConn) {
		interop.DoUnimplementedService(ctx, testgrpc.NewUnimplementedServiceClient(cc))
	})
}
