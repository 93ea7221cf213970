package stream_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/async/stream"
)

// node starts a messenger with streams.
func node(number int64) (*async.Messenger, *stream.Mux) {
	m, err := async.New(async.Config{Name: entity.OSD(number)})
	if err != nil {
		panic(err)
	}
	m.SetDefaultPolicy(msg.LosslessPeerReuse())
	x, err := stream.New(m, stream.Options{})
	if err != nil {
		panic(err)
	}
	if err := m.Bind(netip.MustParseAddrPort("127.0.0.1:0")); err != nil {
		panic(err)
	}
	if err := m.Start(); err != nil {
		panic(err)
	}
	return m, x
}

// A service that sends back what it gets.
func Example() {
	server, sx := node(1)
	client, cx := node(2)
	defer func() {
		_ = client.Shutdown(context.Background())
		_ = server.Shutdown(context.Background())
	}()

	l, err := sx.Listen("echo")
	if err != nil {
		panic(err)
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return // net.ErrClosed
			}
			go func() {
				_, _ = io.Copy(c, c)
				_ = c.Close()
			}()
		}
	}()

	conn, err := client.ConnectTo(entity.TypeOSD, server.Addrs())
	if err != nil {
		panic(err)
	}
	c, err := cx.Dial(context.Background(), conn, "echo")
	if err != nil {
		panic(err)
	}
	_, _ = io.WriteString(c, "hello")
	_ = c.CloseWrite() // that was all; now read the answer to its end
	b, err := io.ReadAll(c)
	fmt.Printf("%s %v\n", b, err)
	_ = c.Close()

	_, err = cx.Dial(context.Background(), conn, "mail")
	fmt.Println(errors.Is(err, stream.ErrNoService))
	// Output:
	// hello <nil>
	// true
}

// HTTP between nodes that are connected anyway.
func ExampleMux_Listen_http() {
	server, sx := node(1)
	client, cx := node(2)
	defer func() {
		_ = client.Shutdown(context.Background())
		_ = server.Shutdown(context.Background())
	}()

	l, err := sx.Listen("http")
	if err != nil {
		panic(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		_, _ = fmt.Fprintf(w, "%s %s %s", r.Method, r.URL.Path, strings.ToUpper(string(b)))
	})}
	go func() { _ = srv.Serve(l) }()
	defer func() { _ = srv.Close() }()

	conn, err := client.ConnectTo(entity.TypeOSD, server.Addrs())
	if err != nil {
		panic(err)
	}
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return cx.Dial(ctx, conn, "http", stream.WithPriority(msg.PriorityHigh))
	}}
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport}).Post("http://osd.1/shout", "text/plain", strings.NewReader("hey"))
	if err != nil {
		panic(err)
	}
	b, _ := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	fmt.Println(resp.Status, string(b))
	// Output:
	// 200 OK POST /shout HEY
}

// Both ends learn why a stream was closed.
func ExampleConn_CloseWithError() {
	server, sx := node(1)
	client, cx := node(2)
	defer func() {
		_ = client.Shutdown(context.Background())
		_ = server.Shutdown(context.Background())
	}()
	l, err := sx.Listen("upload")
	if err != nil {
		panic(err)
	}
	go func() {
		c, err := l.Accept()
		if err == nil {
			_ = c.(*stream.Conn).CloseWithError(28, "no space left")
		}
	}()
	conn, err := client.ConnectTo(entity.TypeOSD, server.Addrs())
	if err != nil {
		panic(err)
	}
	c, err := cx.Dial(context.Background(), conn, "upload")
	if err != nil {
		panic(err)
	}
	_, err = c.Read(make([]byte, 1))
	var closed *stream.CloseError
	if errors.As(err, &closed) {
		fmt.Println(closed.Code, closed.Reason, closed.Remote)
	}
	_ = c.Close()
	// Output:
	// 28 no space left true
}
