package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// Errors of what one node asks another.
var (
	errNewer  = errors.New("node: there is a newer map")
	errBehind = errors.New("node: it has an older map")
	errOther  = errors.New("node: it is there in another life, without what it had")
)

// scanLimit is about how many bytes of keys, and fetchLimit of objects, an answer has.
const (
	scanLimit  = 64 << 10
	fetchLimit = 256 << 10
)

// handleMember answers a request to a member as such: epoch of the asker's map, and the life
// that is meant, stand before it.
//
// What a copy does, it does while it has the very map that the asker has: nothing of an
// earlier map happens after the node has told anybody that it has a later one.
func (n *Node) handleMember(typ uint16, req []byte) ([]byte, error) {
	r := reader{b: req}
	epoch, inc := r.u64(), r.u64()
	if r.bad {
		return nil, errShort
	}
	if inc != n.cfg.Store.inc {
		return []byte{answerOther}, nil
	}
	n.gate.RLock()
	if have := n.m.epoch(); have != epoch {
		m := n.m
		n.gate.RUnlock()
		if have > epoch {
			return append([]byte{answerNewer}, m.encode()...), nil
		}
		return []byte{answerBehind}, nil
	}
	if typ == typePrepare || typ == typeAccept {
		n.gate.RUnlock()
		b, err := n.handleRound(r.b, typ == typeAccept)
		return answer(b, err)
	}
	b, safe, err := n.copyOf(typ, &r)
	n.gate.RUnlock()
	if err == nil && safe != nil {
		if err = safe(); err != nil {
			return nil, n.fail(err)
		}
	}
	return answer(b, err)
}

func answer(b []byte, err error) ([]byte, error) {
	switch {
	case errors.Is(err, ErrFull):
		return []byte{answerFull}, nil
	case err != nil:
		return append([]byte{answerNo}, err.Error()...), nil
	}
	return append([]byte{answerOK}, b...), nil
}

// copyOf does what a copy does. safe has to be waited for, without the gate, before the
// answer is given.
func (n *Node) copyOf(typ uint16, r *reader) (b []byte, safe func() error, err error) {
	switch typ {
	case typeRead:
		k := string(r.bytes())
		if err := r.end(); err != nil {
			return nil, nil, err
		}
		o, safe := n.cfg.Store.Get(k)
		return appendObject(nil, o), safe, nil
	case typeStore:
		o := r.object()
		if err := errors.Join(r.end(), checkObject(o)); err != nil {
			return nil, nil, err
		}
		o.Value = slices.Clone(o.Value) // the request's memory
		safe, err := n.cfg.Store.Put(o)
		return nil, safe, err
	case typeScan: // of objects that are to be at a member, or of all
		first, whom := int(r.u64()), key{inc: r.u64()}
		if err := r.end(); err != nil || first < 0 || first > bucketCount {
			return nil, nil, errShort
		}
		m := n.m
		metas, next, safe := n.cfg.Store.Scan(first, scanLimit, func(k string) bool {
			return whom.inc == 0 || slices.ContainsFunc(place(m.Members, k),
				func(x Member) bool { return x.Inc == whom.inc })
		})
		return appendMetas(nil, metas, next), safe, nil
	case typeFetch:
		var out []byte
		var wait []func() error
		for len(r.b) > 0 && !r.bad {
			o, safe := n.cfg.Store.Get(string(r.bytes()))
			if len(out) > 0 && len(out)+len(o.Value) > fetchLimit {
				break // the asker asks again for the rest
			}
			out, wait = appendObject(out, o), append(wait, safe)
		}
		if r.bad {
			return nil, nil, errShort
		}
		return out, func() error {
			for _, w := range wait {
				if err := w(); err != nil {
					return err
				}
			}
			return nil
		}, nil
	}
	panic(fmt.Sprintf("node: %#x is no request to a copy", typ))
}

func appendMetas(b []byte, metas []meta, next int) []byte {
	b = appendU64(b, uint64(next))
	for _, x := range metas {
		b = appendBool(appendVersion(appendBytes(b, x.Key), x.Version), x.Deleted)
	}
	return b
}

func readMetas(b []byte) (metas []meta, next int, err error) {
	r := reader{b: b}
	next = int(r.u64())
	for len(r.b) > 0 && !r.bad {
		metas = append(metas, meta{string(r.bytes()), r.version(), r.u8() != 0})
	}
	if err := r.end(); err != nil || next < 0 || next > bucketCount {
		return nil, 0, errShort
	}
	return metas, next, nil
}

// callMember asks one member, in the life that is meant, for a map of that epoch. A newer
// map that comes back is taken, and errNewer returned; a member that is behind is told.
func (n *Node) callMember(ctx context.Context, m Member, epoch uint64, typ uint16, low bool,
	body []byte) ([]byte, error) {
	req := append(appendU64(appendU64(make([]byte, 0, 16+len(body)), epoch), m.Inc), body...)
	for told := false; ; told = true {
		var b []byte
		var err error
		if m.key() == n.key() {
			b, err = n.handleMember(typ, req)
		} else {
			b, err = n.cfg.Transport.Call(ctx, m.Addr, typ, low, req)
		}
		switch {
		case err != nil:
			return nil, err
		case len(b) == 0:
			return nil, errShort
		}
		switch b[0] {
		case answerOK:
			return b[1:], nil
		case answerNewer:
			x, err := decodeMap(b[1:])
			if err == nil {
				err = n.adopt(x)
			}
			return nil, errors.Join(errNewer, err)
		case answerBehind:
			mine := n.Map()
			if told || mine.epoch() < epoch || mine == nil {
				return nil, errBehind
			}
			if _, err := n.cfg.Transport.Call(ctx, m.Addr, typeMap, low, mine.encode()); err != nil {
				return nil, err
			}
		case answerOther:
			return nil, errOther
		case answerFull:
			return nil, ErrFull
		default:
			return nil, fmt.Errorf("%s: %s", m.Name, b[1:])
		}
	}
}
