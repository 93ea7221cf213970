package grpcmsgr

import (
	"context"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/adapters/peer/peertest"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/interop"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"
)

func TestMain(m *testing.M) { peertest.Main(m) }

// newNet is a Net on a messenger of its own, at that place or at a free port.
func newNet(t *testing.T, id int64, at string) (n *Net, stop func()) {
	t.Helper()
	m := peertest.Messenger(t, id, at)
	n, err := New(m, Options{})
	require.NoError(t, err)
	require.NoError(t, m.Start())
	stop = func() { require.NoError(t, m.Shutdown(context.Background())) }
	t.Cleanup(stop)
	return n, stop
}

// TestServerComesBack: calls fail while the server's process is gone, and go on when it is
// back at the same place.
func TestServerComesBack(t *testing.T) {
	serve := func(at string) (addr string, stop func()) {
		n, shut := newNet(t, 1, at)
		s := grpc.NewServer()
		testgrpc.RegisterTestServiceServer(s, interop.NewTestServer())
		served := make(chan error, 1)
		go func() { served <- s.Serve(n.Listener()) }()
		return n.Listener().Addr().String(), func() {
			shut() // without a word to the streams
			s.Stop()
			<-served
		}
	}
	addr, stop := serve("127.0.0.1:0")
	client, _ := newNet(t, 2, "127.0.0.1:0")
	cc, err := grpc.NewClient("passthrough:///"+addr, client.DialOption(),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	defer func() { require.NoError(t, cc.Close()) }()
	call := func() codes.Code {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		_, err := testgrpc.NewTestServiceClient(cc).EmptyCall(ctx, &testgrpc.Empty{})
		return status.Code(err)
	}
	require.Equal(t, codes.OK, call())
	stop()
	require.Eventually(t, func() bool { return call() == codes.Unavailable }, time.Minute, time.Millisecond)
	_, stop = serve(addr)
	defer stop()
	require.Eventually(t, func() bool { return call() == codes.OK }, time.Minute, time.Millisecond)
}
