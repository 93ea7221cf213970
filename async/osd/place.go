package osd

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
)

// place is where an object is, by the OSD map of an epoch.
type place struct {
	pool       int64
	hash, seed uint32 // of the object's name, and of its placement group
	epoch      uint32
	primary    int // the OSD that takes operations; negative: there is none now
}

// command is a command of the monitor's with string arguments, as JSON.
func command(prefix string, args ...string) string {
	m := map[string]any{"prefix": prefix, "format": "json"}
	for i := 0; i < len(args); i += 2 {
		m[args[i]] = args[i+1]
	}
	b, err := json.Marshal(m)
	if err != nil {
		panic(err) // strings only
	}
	return string(b)
}

// place asks the monitor where an object is.
func (c *Client) place(ctx context.Context, pool, namespace, object string) (place, error) {
	args := []string{"pool", pool, "object", object}
	if namespace != "" {
		args = append(args, "nspace", namespace)
	}
	a, err := c.mon.Command(ctx, command("osd map", args...), nil)
	if err != nil {
		return place{}, fmt.Errorf("osd: %s: %w", named(pool, namespace, object), err)
	}
	p, err := parsePlace(a.Output)
	if err != nil {
		return place{}, fmt.Errorf("%w: osd map: %w", ErrAnswer, err)
	}
	return p, nil
}

// parsePlace reads the answer to "osd map": pgid is pool and number of the placement group,
// "1.6", and raw_pgid has the whole hash of the name for the number, "1.7fc1f406"; both in hex.
func parsePlace(answer []byte) (p place, err error) {
	var a struct {
		Epoch         uint32
		Pool          int64  `json:"pool_id"`
		RawPG         string `json:"raw_pgid"`
		PG            string `json:"pgid"`
		ActingPrimary *int   `json:"acting_primary"`
	}
	if err := json.Unmarshal(answer, &a); err != nil {
		return p, err
	}
	if a.ActingPrimary == nil {
		return p, fmt.Errorf("no acting_primary in %.200q", answer)
	}
	p = place{pool: a.Pool, epoch: a.Epoch, primary: *a.ActingPrimary}
	for _, x := range []struct {
		text string
		n    *uint32
	}{{a.RawPG, &p.hash}, {a.PG, &p.seed}} {
		pool, number, _ := strings.Cut(x.text, ".")
		n, err := strconv.ParseUint(number, 16, 32)
		if err != nil || pool != strconv.FormatInt(a.Pool, 10) {
			return p, fmt.Errorf("%q is no placement group of pool %d", x.text, a.Pool)
		}
		*x.n = uint32(n)
	}
	return p, nil
}

// addrs asks the monitor for the addresses of an OSD.
func (c *Client) addrs(ctx context.Context, osd int) (entity.AddrVec, error) {
	cmd := fmt.Sprintf(`{"prefix":"osd find","id":%d,"format":"json"}`, osd)
	a, err := c.mon.Command(ctx, cmd, nil)
	if err != nil {
		return nil, fmt.Errorf("osd.%d: %w", osd, err)
	}
	v, err := parseAddrs(a.Output)
	if err != nil {
		return nil, fmt.Errorf("%w: osd find: %w", ErrAnswer, err)
	}
	return v, nil
}

// parseAddrs reads the answer to "osd find".
func parseAddrs(answer []byte) (v entity.AddrVec, err error) {
	var a struct {
		Addrs struct {
			Addrvec []struct {
				Type  string
				Addr  netip.AddrPort
				Nonce uint32
			}
		}
	}
	if err := json.Unmarshal(answer, &a); err != nil {
		return nil, err
	}
	for _, x := range a.Addrs.Addrvec {
		switch x.Type {
		case "v2":
			v = append(v, entity.Addr{Type: entity.AddrMsgr2, Nonce: x.Nonce, AddrPort: x.Addr})
		case "v1":
			v = append(v, entity.Addr{Type: entity.AddrLegacy, Nonce: x.Nonce, AddrPort: x.Addr})
		}
	}
	if v.Msgr2().IsBlank() {
		return nil, fmt.Errorf("no address of msgr v2 in %.200q", answer)
	}
	return v, nil
}
