package dispatch

import (
	"fmt"
	"reflect"
	"strings"
	"sync"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// optional is a method of one of the optional interfaces, and what a dispatcher has
// under its name. The types have a receiver as the first argument.
type optional struct {
	want reflect.Type
	has  bool
	is   reflect.Method
}

// optionals looks for the methods of all optional interfaces. The names are constants
// in each call of MethodByName, so that the linker keeps the methods of these names
// and need not keep all methods of the program.
func optionals(t reflect.Type) []optional {
	like := func(method any) func(reflect.Method, bool) optional {
		return func(m reflect.Method, has bool) optional { return optional{reflect.TypeOf(method), has, m} }
	}
	return []optional{
		like(msg.FastDispatcher.CanFastDispatch)(t.MethodByName("CanFastDispatch")),
		like(msg.FastDispatcher.FastDispatch)(t.MethodByName("FastDispatch")),
		like(msg.FastPreprocessor.FastPreprocess)(t.MethodByName("FastPreprocess")),
		like(msg.ConnectHandler.HandleConnect)(t.MethodByName("HandleConnect")),
		like(msg.AcceptHandler.HandleAccept)(t.MethodByName("HandleAccept")),
		like(msg.FastConnectHandler.HandleFastConnect)(t.MethodByName("HandleFastConnect")),
		like(msg.FastAcceptHandler.HandleFastAccept)(t.MethodByName("HandleFastAccept")),
		like(msg.ResetHandler.HandleReset)(t.MethodByName("HandleReset")),
		like(msg.RemoteResetHandler.HandleRemoteReset)(t.MethodByName("HandleRemoteReset")),
		like(msg.FastResetHandler.HandleFastReset)(t.MethodByName("HandleFastReset")),
		like(msg.FastRemoteResetHandler.HandleFastRemoteReset)(t.MethodByName("HandleFastRemoteReset")),
		like(msg.RefusedHandler.HandleRefused)(t.MethodByName("HandleRefused")),
		like(msg.ConnectFailedHandler.HandleConnectFailed)(t.MethodByName("HandleConnectFailed")),
		like(msg.RejectedHandler.HandleRejected)(t.MethodByName("HandleRejected")),
		like(msg.SendPressureHandler.HandleSendPressure)(t.MethodByName("HandleSendPressure")),
		like(msg.FaultHandler.HandleFault)(t.MethodByName("HandleFault")),
		like(msg.FastFaultHandler.HandleFastFault)(t.MethodByName("HandleFastFault")),
		like(msg.UndeliverableHandler.HandleUndeliverable)(t.MethodByName("HandleUndeliverable")),
	}
}

// mustFit panics if d has a method that is named like one of an optional interface but
// is not one, or only one of FastDispatcher's two: it would never be called, and
// nobody would say so.
func mustFit(d msg.Dispatcher) {
	t := reflect.TypeOf(d)
	if _, ok := fitting.Load(t); ok {
		return
	}
	all := optionals(t)
	for _, o := range all {
		if o.has && !sameArguments(o.is.Type, o.want) {
			panic(fmt.Sprintf("dispatch: %v has the method %s, which would never be called: that of a %v is %s",
				t, signature(o.is.Name, o.is.Type), o.want.In(0), signature(o.is.Name, o.want)))
		}
	}
	switch can, fast := all[0], all[1]; {
	case can.has && !fast.has:
		panic(fmt.Sprintf("dispatch: %v has the method %s, which would never be called: a %v has %s too",
			t, signature("CanFastDispatch", can.want), can.want.In(0), signature("FastDispatch", fast.want)))
	case fast.has && !can.has:
		panic(fmt.Sprintf("dispatch: %v has the method %s, which would never be called: a %v has %s too",
			t, signature("FastDispatch", fast.want), can.want.In(0), signature("CanFastDispatch", can.want)))
	}
	fitting.Store(t, true)
}

// fitting are the types of dispatchers that were looked at: no more than the program has. A
// process with thousands of messengers has a few of them.
var fitting sync.Map

// sameArguments says whether the functions differ in their receivers at most.
func sameArguments(a, b reflect.Type) bool {
	if a.NumIn() != b.NumIn() || a.NumOut() != b.NumOut() || a.IsVariadic() != b.IsVariadic() {
		return false
	}
	for i := 1; i < a.NumIn(); i++ {
		if a.In(i) != b.In(i) {
			return false
		}
	}
	for i := range a.NumOut() {
		if a.Out(i) != b.Out(i) {
			return false
		}
	}
	return true
}

// signature is a method as it is written, f's receiver left out.
func signature(name string, f reflect.Type) string {
	var in, out []string
	for i := 1; i < f.NumIn(); i++ {
		in = append(in, f.In(i).String())
	}
	if f.IsVariadic() {
		last := len(in) - 1
		in[last] = "..." + strings.TrimPrefix(in[last], "[]")
	}
	for i := range f.NumOut() {
		out = append(out, f.Out(i).String())
	}
	s := name + "(" + strings.Join(in, ", ") + ")"
	switch len(out) {
	case 0:
		return s
	case 1:
		return s + " " + out[0]
	}
	return s + " (" + strings.Join(out, ", ") + ")"
}
