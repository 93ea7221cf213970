package nodecmd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/asyncmsgr/asyncmsgr/async/resolve"
	"github.com/asyncmsgr/asyncmsgr/bench/internal/command"
	"github.com/asyncmsgr/asyncmsgr/bench/node"
)

// Opener opens what --resolver names.
type Opener func(u *url.URL, logger *slog.Logger) (node.Source, error)

// Openers are by the scheme of the URL. A command may add some before it runs.
var Openers = map[string]Opener{"file": openFile, "srv": openSRV}

// Elsewhere says, by scheme, in which command a resolver is that this one lacks.
var Elsewhere = map[string]string{
	"etcd": "that is in msgrnode, which has the client of etcd; in a checkout: " +
		"cd bench/cluster && GOWORK=off go run ./cmd/msgrnode",
}

// open opens a resolver; "" is none.
func open(s string, logger *slog.Logger) (node.Source, error) {
	if s == "" {
		return node.Source{}, nil
	}
	u, err := url.Parse(s)
	if err != nil {
		return node.Source{}, command.Usage(fmt.Errorf("--resolver: %w", err))
	}
	if f := Openers[u.Scheme]; f != nil {
		return f(u, logger)
	}
	if where := Elsewhere[u.Scheme]; where != "" {
		return node.Source{}, command.Usage(fmt.Errorf("--resolver %s://: %s", u.Scheme, where))
	}
	return node.Source{}, command.Usage(fmt.Errorf("--resolver %q: there are %s://", s,
		strings.Join(slices.Sorted(maps.Keys(Openers)), ":// and ")))
}

func openFile(u *url.URL, logger *slog.Logger) (node.Source, error) {
	f, err := resolve.OpenFile(u.Host+u.Path, resolve.FileConfig{Logger: logger})
	if err != nil {
		return node.Source{}, err
	}
	return node.Source{Resolver: f, Close: f.Close}, nil
}

func openSRV(u *url.URL, logger *slog.Logger) (node.Source, error) {
	s, err := resolve.OpenSRV(resolve.SRVConfig{Domain: u.Host, Logger: logger})
	if err != nil {
		return node.Source{}, err
	}
	return node.Source{Resolver: s, Close: s.Close}, nil
}

// errFound ends a Watch that has what it wants.
var errFound = errors.New("found")

// first waits for the first map of a resolver, and returns its addresses.
func first(ctx context.Context, r resolve.Resolver) (addrs []string, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	err = r.Watch(ctx, func(m *resolve.Map) {
		for _, e := range m.Entries {
			addrs = append(addrs, e.Addrs.String())
		}
		cancel(errFound)
	})
	if errors.Is(context.Cause(ctx), errFound) {
		return addrs, nil
	}
	return nil, fmt.Errorf("the resolver says nothing: %w", err)
}
