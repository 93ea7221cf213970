package async

import (
	"crypto/rand"
	"encoding/binary"
	"strconv"
	"sync"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/dispatch"
	"github.com/asyncmsgr/asyncmsgr/eventloop"
	"github.com/asyncmsgr/asyncmsgr/eventloop/netpollstack"
)

// DefaultStack is the netpoll stack that all messengers of the process share
// unless their Config names another: GOMAXPROCS workers, opened by the first
// call and never closed.
var DefaultStack = sync.OnceValues(func() (eventloop.Stack, error) {
	return netpollstack.Open(netpollstack.Config{})
})

// DefaultExecutor is the ants pool that all messengers of the process share
// unless their Config names another; opened by the first call and never closed.
var DefaultExecutor = sync.OnceValues(func() (dispatch.Executor, error) {
	return dispatch.NewAntsPool(dispatch.AntsConfig{})
})

func systemRand() uint64 {
	var b [8]byte
	rand.Read(b[:]) // never fails
	return binary.LittleEndian.Uint64(b[:])
}

func authNameOf(n entity.Name) entity.AuthName {
	a := entity.AuthName{Type: n.Type}
	if n.Num >= 0 {
		a.ID = strconv.FormatInt(n.Num, 10)
	}
	return a
}
