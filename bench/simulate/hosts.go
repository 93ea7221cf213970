package simulate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
)

// checkChart looks for hosts that there are not.
func checkChart(cfg *Config) error {
	wanted := cfg.ChartWindow.Hosts
	if len(wanted) == 0 {
		return nil
	}
	all, err := hosts(cfg)
	if err != nil {
		return err
	}
	for i, h := range wanted {
		if !slices.ContainsFunc(all, func(x host) bool { return x.name == h }) {
			return fmt.Errorf("%w: a chart of %q: there is no such host; there are %s", ErrConfig, h, listed(all))
		}
		if slices.Contains(wanted[:i], h) {
			return fmt.Errorf("%w: a chart of %q: it is named twice", ErrConfig, h)
		}
	}
	if len(wanted) == 1 {
		return fmt.Errorf("%w: a chart of %q alone: it shows what passes between hosts, so name two or more of %s",
			ErrConfig, wanted[0], listed(all))
	}
	return nil
}

// host is a machine of the simulated network: its name there, and the one that a file
// gives to its node.
type host struct{ name, node string }

func (h host) String() string {
	if h.node != "" {
		return h.name + " (" + h.node + ")"
	}
	return h.name
}

// hosts are those of a scenario that is built in, or of a text scenario.
func hosts(cfg *Config) (all []host, err error) {
	if k := kindOf(cfg.Scenario); k != nil {
		w := k.world(*cfg)
		name := w.s.options().Name
		for i := range w.cfg.Nodes {
			if name == nil { // as asynctest names them
				all = append(all, host{name: entity.OSD(int64(i)).String()})
			} else {
				all = append(all, host{name: name(i).String()})
			}
		}
		return all, nil
	}
	s, _, err := readFile(cfg.Scenario)
	if err != nil {
		return nil, err
	}
	for i, node := range s.Nodes() {
		all = append(all, host{entity.OSD(int64(i)).String(), node})
	}
	return all, nil
}

// listed are some hosts in words.
func listed(all []host) string {
	const most = 8
	var names []string
	for _, h := range all[:min(len(all), most)] {
		names = append(names, h.String())
	}
	s := strings.Join(names, ", ")
	if more := len(all) - most; more > 0 {
		s += fmt.Sprintf(" and %d more, up to %v", more, all[len(all)-1])
	}
	return s
}
