package grpcmsgr

import (
	"context"
	"net"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/adapters/peer"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/stream"
	"google.golang.org/grpc"
)

// Options of a Net. The zero value works.
type Options struct {
	// PeerType is the type of the servers' messengers; 0: the messenger's own.
	PeerType entity.Type
	// Mux is where streams come from; nil: a new one for the messenger. A messenger has
	// one Mux, which several users may share.
	Mux *stream.Mux
	// Service is the name of the streams' service; "" means "grpc".
	Service string
	// Priority of the streams that this side dials, both directions; 0: the messenger's
	// default.
	Priority uint8
}

// Net is a messenger as grpc's network. Any goroutine may call its methods.
type Net struct {
	o     Options
	peers *peer.Peers
	ln    net.Listener
}

// New returns the network of m, which is bound, and listens on it. m stays the caller's.
func New(m *async.Messenger, o Options) (*Net, error) {
	if o.Service == "" {
		o.Service = "grpc"
	}
	n := &Net{o: o}
	var err error
	if n.peers, err = peer.New(m, o.PeerType, o.Mux); err != nil {
		return nil, err
	}
	if n.ln, err = n.peers.Listen(o.Service); err != nil {
		return nil, err
	}
	return n, nil
}

// Listener is for grpc.Server.Serve, which closes it in the end.
func (n *Net) Listener() net.Listener { return n.ln }

// Dial opens a stream to the server at addr, "host:port". It fails before ctx ends when the
// server's host refuses the connection, as a dial does; grpc tries again then.
func (n *Net) Dial(ctx context.Context, addr string) (net.Conn, error) {
	return n.peers.Dial(ctx, addr, n.o.Service, n.o.Priority)
}

// DialOption has a grpc client dial with Dial. Targets are "passthrough:///host:port".
func (n *Net) DialOption() grpc.DialOption { return grpc.WithContextDialer(n.Dial) }
