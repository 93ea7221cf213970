package rpc_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/async/rpc"
)

// The service: what is asked, what is answered, and by which number. Both ends have this.
type (
	putRequest struct{ Key, Value string }
	putReply   struct{ Version int }
	getRequest struct{ Key string }
	getReply   struct {
		Value   string
		Version int
	}
)

var (
	put = rpc.Method[putRequest, putReply]{Type: 1, Codec: rpc.JSON}
	get = rpc.Method[getRequest, getReply]{Type: 2, Codec: rpc.JSON}
)

const codeNotFound = rpc.CodeUser

// register is the server: a map.
type register struct {
	mu     sync.Mutex
	values map[string]getReply
}

func (r *register) put(_ context.Context, q *putRequest) (*putReply, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	v := getReply{Value: q.Value, Version: r.values[q.Key].Version + 1}
	r.values[q.Key] = v
	return &putReply{Version: v.Version}, nil
}

func (r *register) get(_ context.Context, q *getRequest) (*getReply, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	v, ok := r.values[q.Key]
	if !ok {
		return nil, rpc.Errorf(codeNotFound, "no %q", q.Key)
	}
	return &v, nil
}

// A service and a client of it, complete: no generated code, no framework.
func Example_service() {
	r := &register{values: map[string]getReply{}}
	ms, err := async.New(async.Config{Name: entity.OSD(0)})
	if err != nil {
		panic(err)
	}
	ms.SetDefaultPolicy(msg.StatelessServer())
	server, err := rpc.New(ms, rpc.Options{})
	if err != nil {
		panic(err)
	}
	// get is quick and may run on the worker; put may wait for its turn, or block.
	if err := errors.Join(put.Handle(server, r.put), get.Handle(server, r.get, rpc.Fast())); err != nil {
		panic(err)
	}
	if err := errors.Join(ms.Bind(netip.MustParseAddrPort("127.0.0.1:0")), ms.Start()); err != nil {
		panic(err)
	}

	mc, err := async.New(async.Config{Name: entity.Client(1)})
	if err != nil {
		panic(err)
	}
	mc.SetDefaultPolicy(msg.LossyClient())
	client, err := rpc.New(mc, rpc.Options{})
	if err != nil {
		panic(err)
	}
	if err := mc.Start(); err != nil {
		panic(err)
	}
	conn, err := mc.ConnectTo(entity.TypeOSD, ms.Addrs())
	if err != nil {
		panic(err)
	}

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second) // the server sees it too
	defer cancel()
	for _, value := range []string{"red", "blue"} {
		if _, err := put.Call(ctx, client, conn, &putRequest{"color", value}); err != nil {
			panic(err)
		}
	}
	v, err := get.Call(ctx, client, conn, &getRequest{"color"}, rpc.Priority(msg.PriorityHigh))
	fmt.Println(v.Value, v.Version, err)
	_, err = get.Call(ctx, client, conn, &getRequest{"shape"})
	fmt.Println(rpc.CodeOf(err) == codeNotFound, err)

	if err := errors.Join(mc.Shutdown(ctx), ms.Shutdown(ctx)); err != nil {
		panic(err)
	}
	// Output:
	// blue 2 <nil>
	// true rpc: peer: code 1000: no "shape"
}
