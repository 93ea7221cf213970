// Package forward is for those who put something around a stack, its workers or
// handlers: a network that breaks, or a clock that is late. What a Stack, a Worker or a
// Handler may be in addition (eventloop.Hosted, Meter, Watched, Lender, Local, Asider,
// Abandoner) is lost by embedding the interface, and who uses the result takes other paths than without.
//
// Write the outer type with what it changes, with the inner one embedded as the interface,
// and hand on what the functions of this package return:
//
//	type worker struct{ eventloop.Worker }
//	func (w *worker) Dial(...) eventloop.Transport { ... }
//
//	s := forward.Stack(inner, func(w eventloop.Worker) eventloop.Worker { return &worker{w} })
//
// What the outer type has itself comes first. A Transport is nothing in addition: to
// embed it is enough.
package forward

import "github.com/asyncmsgr/asyncmsgr/eventloop"

// Stack is inner with other workers: wrap is called once for each, and its result, with
// what the inner worker is in addition, is what Worker and Pick return.
func Stack(inner eventloop.Stack, wrap func(eventloop.Worker) eventloop.Worker) eventloop.Stack {
	s := &stack{Stack: inner}
	for i := range inner.NumWorkers() {
		s.workers = append(s.workers, Worker(wrap(inner.Worker(i)), inner.Worker(i)))
	}
	return StackAs(s, inner)
}

type stack struct {
	eventloop.Stack
	workers []eventloop.Worker
}

// Worker implements eventloop.Stack.
func (s *stack) Worker(i int) eventloop.Worker { return s.workers[i] }

// Pick implements eventloop.Stack.
func (s *stack) Pick() eventloop.Worker { return s.workers[s.Stack.Pick().ID()] }

// StackAs is outer with what inner is in addition.
func StackAs(outer, inner eventloop.Stack) eventloop.Stack {
	h, hosted := first[eventloop.Hosted](outer, inner)
	m, meters := first[eventloop.Meter](outer, inner)
	w, watched := first[eventloop.Watched](outer, inner)
	if is[eventloop.Hosted](outer) == hosted && is[eventloop.Meter](outer) == meters &&
		is[eventloop.Watched](outer) == watched {
		return outer
	}
	switch {
	case hosted && meters && watched:
		return &struct {
			eventloop.Stack
			eventloop.Hosted
			eventloop.Meter
			eventloop.Watched
		}{outer, h, m, w}
	case hosted && meters:
		return &struct {
			eventloop.Stack
			eventloop.Hosted
			eventloop.Meter
		}{outer, h, m}
	case hosted && watched:
		return &struct {
			eventloop.Stack
			eventloop.Hosted
			eventloop.Watched
		}{outer, h, w}
	case meters && watched:
		return &struct {
			eventloop.Stack
			eventloop.Meter
			eventloop.Watched
		}{outer, m, w}
	case hosted:
		return &struct {
			eventloop.Stack
			eventloop.Hosted
		}{outer, h}
	case meters:
		return &struct {
			eventloop.Stack
			eventloop.Meter
		}{outer, m}
	case watched:
		return &struct {
			eventloop.Stack
			eventloop.Watched
		}{outer, w}
	}
	return outer
}

// Worker is outer with what inner is in addition.
func Worker(outer, inner eventloop.Worker) eventloop.Worker {
	lender, lends := first[eventloop.Lender](outer, inner)
	local, stores := first[eventloop.Local](outer, inner)
	asider, steps := first[eventloop.Asider](outer, inner)
	switch {
	case lends && stores && steps:
		return &struct {
			eventloop.Worker
			eventloop.Lender
			eventloop.Local
			eventloop.Asider
		}{outer, lender, local, asider}
	case lends && stores:
		return &struct {
			eventloop.Worker
			eventloop.Lender
			eventloop.Local
		}{outer, lender, local}
	case lends && steps:
		return &struct {
			eventloop.Worker
			eventloop.Lender
			eventloop.Asider
		}{outer, lender, asider}
	case stores && steps:
		return &struct {
			eventloop.Worker
			eventloop.Local
			eventloop.Asider
		}{outer, local, asider}
	case lends:
		return &struct {
			eventloop.Worker
			eventloop.Lender
		}{outer, lender}
	case stores:
		return &struct {
			eventloop.Worker
			eventloop.Local
		}{outer, local}
	case steps:
		return &struct {
			eventloop.Worker
			eventloop.Asider
		}{outer, asider}
	}
	return outer
}

// Handler is outer with what inner is in addition.
func Handler(outer, inner eventloop.Handler) eventloop.Handler {
	if _, ok := outer.(eventloop.Abandoner); ok {
		return outer
	}
	if a, ok := inner.(eventloop.Abandoner); ok {
		return &struct {
			eventloop.Handler
			eventloop.Abandoner
		}{outer, a}
	}
	return outer
}

// first is outer or else inner as a T.
func first[T any](outer, inner any) (T, bool) {
	if t, ok := outer.(T); ok {
		return t, true
	}
	t, ok := inner.(T)
	return t, ok
}

func is[T any](v any) bool {
	_, ok := v.(T)
	return ok
}
