package node

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"
)

// Client reads and writes objects, by way of any node. What one node does not answer in
// time, another is asked. Any goroutine may call the methods.
type Client struct {
	// Transport carries the requests.
	Transport Transport
	// Addrs are the nodes that may be asked.
	Addrs []string
	// Attempt bounds one request to one node; 0 means 2 s.
	Attempt time.Duration

	prefer atomic.Uint64 // the node that answered last, in Addrs
}

// errNoNodes: there is nobody to ask.
var errNoNodes = errors.New("node: no address of a node")

// ask asks one node after the other until one answers, or ctx ends.
func (c *Client) ask(ctx context.Context, typ uint16, req []byte) (b []byte, err error) {
	if len(c.Addrs) == 0 {
		return nil, errNoNodes
	}
	attempt := c.Attempt
	if attempt == 0 {
		attempt = 2 * time.Second
	}
	for tries := 0; ; tries++ {
		i := c.prefer.Load()
		b, err = c.askOne(ctx, c.Addrs[i%uint64(len(c.Addrs))], attempt, typ, req)
		switch {
		case err == nil, errors.Is(err, ErrFull), errors.Is(err, ErrTooLarge), errors.Is(err, ErrNotFound):
			return b, err
		}
		c.prefer.CompareAndSwap(i, i+1)
		if tries >= len(c.Addrs)-1 {
			sleep(ctx, jitter(100*time.Millisecond))
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("%w (the last answer: %w)", ctx.Err(), err)
		}
	}
}

func (c *Client) askOne(ctx context.Context, addr string, attempt time.Duration, typ uint16,
	req []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, attempt)
	defer cancel()
	b, err := c.Transport.Call(ctx, addr, typ, false, req)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", addr, err)
	}
	return parseAnswer(b)
}

// Get returns an object. If there is none the error is ErrNotFound, and the object has the
// version of its deletion, if it was deleted.
func (c *Client) Get(ctx context.Context, k string) (Object, error) {
	o, err := c.get(ctx, k, false)
	if err == nil && (o.Deleted || o.Version == (Version{})) {
		err = fmt.Errorf("%w: %q", ErrNotFound, k)
	}
	return o, err
}

func (c *Client) get(ctx context.Context, k string, head bool) (Object, error) {
	if err := checkObject(Object{Key: k}); err != nil {
		return Object{}, err
	}
	b, err := c.ask(ctx, typeGet, appendBool(appendBytes(nil, k), head))
	if err != nil {
		return Object{}, err
	}
	r := reader{b: b}
	o := r.object()
	o.Value = slices.Clone(o.Value)
	return o, r.end()
}

// Put writes an object and returns its version when a majority of its copies has it. After
// an error it is not known whether it was written, or will be; nothing is known then of the
// order with other writes of that time.
//
// The version is chosen once, above what a majority knows, and kept through all attempts:
// an attempt that was believed lost and comes late is not a newer write.
func (c *Client) Put(ctx context.Context, k string, value []byte) (Version, error) {
	return c.write(ctx, Object{Key: k, Value: value})
}

// Delete is Put of there being no object.
func (c *Client) Delete(ctx context.Context, k string) (Version, error) {
	return c.write(ctx, Object{Key: k, Deleted: true})
}

func (c *Client) write(ctx context.Context, o Object) (Version, error) {
	if err := checkObject(o); err != nil {
		return Version{}, err
	}
	was, err := c.get(ctx, o.Key, true)
	if err != nil {
		return Version{}, err
	}
	o.Version = Version{was.Version.Counter + 1, rand.Uint64()}
	_, err = c.ask(ctx, typePut, appendObject(nil, o))
	return o.Version, err
}

// List returns the keys that begin with prefix, sorted: all that were there all the while.
func (c *Client) List(ctx context.Context, prefix string) (keys []string, err error) {
	for first := 0; first < bucketCount; {
		b, err := c.ask(ctx, typeList, appendBytes(appendU64(nil, uint64(first)), prefix))
		if err != nil {
			return nil, err
		}
		r := reader{b: b}
		next := int(r.u64())
		for len(r.b) > 0 && !r.bad {
			keys = append(keys, string(r.bytes()))
		}
		if r.bad || next <= first || next > bucketCount {
			return nil, errShort
		}
		first = next
	}
	slices.Sort(keys)
	return keys, nil
}

// Status asks one node how it is; addr empty: any.
func (c *Client) Status(ctx context.Context, addr string) (Status, error) {
	if addr == "" {
		i := c.prefer.Load()
		for range c.Addrs {
			addr = c.Addrs[i%uint64(len(c.Addrs))]
			if s, err := c.Status(ctx, addr); err == nil {
				return s, nil
			}
			i++
		}
		if len(c.Addrs) == 0 {
			return Status{}, errNoNodes
		}
	}
	attempt := c.Attempt
	if attempt == 0 {
		attempt = 2 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, attempt)
	defer cancel()
	b, err := c.Transport.Call(ctx, addr, typeStatus, false, nil)
	if err != nil {
		return Status{}, fmt.Errorf("%s: %w", addr, err)
	}
	return statusOf(b)
}
