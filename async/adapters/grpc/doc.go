// Package grpcmsgr carries google.golang.org/grpc over streams of a messenger: a listener
// for servers, and a dialer for clients.
//
//	n, err := grpcmsgr.New(m, grpcmsgr.Options{})
//	go server.Serve(n.Listener())
//	cc, err := grpc.NewClient("passthrough:///10.0.0.7:7001", n.DialOption(), creds)
//
// All of it goes over the one connection that two messengers have, beside their messages,
// and by their priorities. grpc's own credentials and its HTTP/2 are as over TCP.
package grpcmsgr
