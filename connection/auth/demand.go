package auth

import (
	"slices"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
)

// Demand is a Client that does not do without certain modes or methods, whatever its
// Client proposes and the peer allows. It asks for no others, and what the peer wants
// instead is a *DowngradeError. Demands of several types of peers can be put around each
// other.
type Demand struct {
	Client Client
	// Types are the types of peers that this is demanded of; nil: all.
	Types []entity.Type
	// Modes and Methods are those that will do; nil: any.
	Modes, Methods []uint32
}

// Secure demands encrypted connections with all peers.
func Secure(c Client) Client { return Demand{Client: c, Modes: []uint32{ModeSecure}} }

// NewExchange implements Client.
func (d Demand) NewExchange(self, peer entity.Type) ClientExchange {
	x := d.Client.NewExchange(self, peer)
	if d.Types != nil && !slices.Contains(d.Types, peer) {
		return x
	}
	return &demandExchange{ClientExchange: x, d: d}
}

type demandExchange struct {
	ClientExchange
	d     Demand
	asked Request // without its payload
}

// Slow implements Slow.
func (x *demandExchange) Slow() bool { return IsSlow(x.ClientExchange) }

// Close implements io.Closer.
func (x *demandExchange) Close() error { return Close(x.ClientExchange) }

func (x *demandExchange) Request() (Request, error) {
	r, err := x.ClientExchange.Request()
	if err != nil {
		return r, err
	}
	return x.ask(r, nil)
}

// ask is r without what will not do, if there is something left.
func (x *demandExchange) ask(r Request, refusal error) (Request, error) {
	modes := only(r.Modes, x.d.Modes)
	if len(modes) == 0 || !in(r.Method, x.d.Methods) {
		return Request{}, x.downgrade([]uint32{r.Method}, r.Modes, refusal)
	}
	r.Modes = modes
	x.asked = Request{Method: r.Method, Modes: modes}
	return r, nil
}

func (x *demandExchange) downgrade(methods, modes []uint32, refusal error) error {
	return &DowngradeError{Methods: x.d.Methods, Modes: orAny(x.d.Modes), OfferedMethods: methods, OfferedModes: modes,
		Err: refusal}
}

func (x *demandExchange) BadMethod(refusal *RefusedError) (Request, error) {
	will := *refusal
	will.Methods, will.Modes = only(refusal.Methods, x.d.Methods), only(refusal.Modes, x.d.Modes)
	if len(will.Methods) == 0 || len(will.Modes) == 0 {
		return Request{}, x.downgrade(refusal.Methods, refusal.Modes, refusal)
	}
	r, err := x.ClientExchange.BadMethod(&will)
	will = *refusal // which the error may have in it: with all that the peer allows
	if err != nil {
		return r, err
	}
	return x.ask(r, refusal)
}

func (x *demandExchange) Done(globalID uint64, mode uint32, payload []byte) (Result, error) {
	if !in(mode, x.d.Modes) {
		return Result{}, x.downgrade([]uint32{x.asked.Method}, []uint32{mode}, nil)
	}
	r, err := x.ClientExchange.Done(globalID, mode, payload)
	if err == nil && r.Method != 0 && !in(r.Method, x.d.Methods) {
		return Result{}, x.downgrade([]uint32{r.Method}, []uint32{mode}, nil)
	}
	return r, err
}

// in says whether n is among those that will do.
func in(n uint32, will []uint32) bool { return will == nil || slices.Contains(will, n) }

// only are those of list that will do, in its order.
func only(list, will []uint32) (left []uint32) {
	for _, n := range list {
		if in(n, will) {
			left = append(left, n)
		}
	}
	return left
}

func orAny(modes []uint32) []uint32 {
	if modes == nil {
		return []uint32{ModeSecure, ModeCRC}
	}
	return modes
}
