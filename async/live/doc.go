// Package live is a web page that shows what messengers of a running process do: their sessions as
// a ring, message flow by priority, queues, latency, CPU, and a timeline of cuts, reconnects and
// replays. It is an http.Handler that any owner of messengers can mount:
//
//	h, err := live.New(live.Config{Messengers: func() []*async.Messenger { return []*async.Messenger{m} }})
//	...
//	defer h.Close()
//	mux.Handle("/live/", http.StripPrefix("/live", h))
//
// All files are embedded; the page loads nothing from elsewhere, and asks nobody else.
//
// Who is answered: requests that come from this machine and name it as a loopback host, unless
// Config.Hosts says otherwise. A page of another origin, or one whose name was made to point here
// (DNS rebinding), gets nothing. There is no authentication: behind Config.Hosts the owner's server
// has to ask who it is. Nothing that is shown is secret, and no key or payload is in it.
//
// What can be done: nothing, unless Config.Cut or Config.Actions offer something.
//
// What it costs: nothing while nobody watches. While somebody does, one goroutine looks at all
// connections once a second (Config.Every), and less often if that costs more than a twenty-fifth of a core. All
// viewers share what it found, which has a bounded size for any number of connections.
package live
