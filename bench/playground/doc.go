// Package playground is the engine of the playground: a text scenario (asynctest.Scenario)
// that runs under somebody's eyes, and that he changes while it runs. What is clicked becomes
// a line of the text, so that text and seed are all there is: they can be shared, played back
// to any time, and run by msgr sim, with the same hash.
//
// Engine answers requests in JSON. In a browser it is compiled to WebAssembly (package
// playground/wasm) and runs in a Web Worker; the page is in the folder web. Nothing here
// depends on a browser, a clock that is not virtual, or a network.
package playground
