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
	mux   *stream.Mux
	ln    net.Listener
}

// New returns the network of m, and listens on it. m stays the caller's. It is bound if
// peers are to call it.
func New(m *async.Messenger, o Options) (*Net, error) {
	if o.PeerType == 0 {
		o.PeerType = m.Name().Type
	}
	if o.Service == "" {
		o.Service = "grpc"
	}
	n := &Net{o: o, mux: o.Mux}
	var err error
	if n.peers, err = peer.New(m, o.PeerType); err != nil {
		return nil, err
	}
	if n.mux == nil {
		if n.mux, err = stream.New(m, stream.Options{}); err != nil {
			return nil, err
		}
	}
	n.ln, err = n.mux.Listen(o.Service)
	return n, err
}

// Listener is for grpc.Server.Serve, which closes it in the end.
func (n *Net) Listener() net.Listener { return n.ln }

// Dial opens a stream to the server at addr, "host:port". It fails before ctx ends when the
// server's host refuses the connection, as a dial does; grpc tries again then.
func (n *Net) Dial(ctx context.Context, addr string) (net.Conn, error) {
	c, reach, done, err := n.peers.Connect(ctx, addr)
	if err != nil {
		return nil, err
	}
	defer done()
	conn, err := n.mux.Dial(reach, c, n.o.Service, stream.WithPriority(n.o.Priority))
	if err != nil {
		return nil, peer.Why(reach, err)
	}
	return conn, nil
}

// DialOption has a grpc client dial with Dial. Targets are "passthrough:///host:port".
func (n *Net) DialOption() grpc.DialOption { return grpc.WithContextDialer(n.Dial) }
