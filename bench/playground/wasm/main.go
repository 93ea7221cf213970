//go:build js && wasm

// Command wasm is the engine of the playground for browsers. It gives JavaScript the global
// function asyncmsgrPlayground, from a request in JSON to an array of replies in JSON, calls
// asyncmsgrReady if there is such a function, and stays.
package main

import (
	"syscall/js"

	"github.com/asyncmsgr/asyncmsgr/bench/playground"
)

// version is set by the linker.
var version = "development"

func main() {
	e := &playground.Engine{Version: version}
	js.Global().Set("asyncmsgrPlayground", js.FuncOf(func(_ js.Value, args []js.Value) any {
		in := ""
		if len(args) > 0 && args[0].Type() == js.TypeString {
			in = args[0].String()
		}
		return string(e.Handle([]byte(in)))
	}))
	if ready := js.Global().Get("asyncmsgrReady"); ready.Type() == js.TypeFunction {
		ready.Invoke()
	}
	select {}
}
