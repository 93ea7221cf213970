package admin

import (
	"fmt"
	"slices"
	"strings"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/rpc"
	"github.com/asyncmsgr/asyncmsgr/async/stream"
)

// desk knows the commands.
type desk struct {
	cfg        *Config
	messengers []named
	commands   map[string]*Command
}

// named is a messenger with the name that it has in answers, and what counts calls and streams on it.
type named struct {
	name string
	*async.Messenger
	nodes []*rpc.Node
	muxes []*stream.Mux
}

// again is the name of something of which there were before others already.
func again(name string, before int) string {
	if before == 0 {
		return name
	}
	return fmt.Sprintf("%s#%d", name, before+1)
}

func newDesk(cfg *Config) (*desk, error) {
	d := &desk{cfg: cfg, commands: map[string]*Command{}}
	seen := map[string]int{}
	for _, m := range cfg.Messengers {
		n := named{name: m.Name().String(), Messenger: m}
		seen[n.name]++
		n.name = again(n.name, seen[n.name]-1)
		d.messengers = append(d.messengers, n)
	}
	for _, n := range cfg.Nodes {
		m, err := d.of(n.Messenger(), "Node")
		if err != nil {
			return nil, err
		}
		m.nodes = append(m.nodes, n)
	}
	for _, x := range cfg.Muxes {
		m, err := d.of(x.Messenger(), "Mux")
		if err != nil {
			return nil, err
		}
		m.muxes = append(m.muxes, x)
	}
	str := func(name string) Arg { return Arg{Name: name, Type: "CephString", Optional: true} }
	must := func(name string) Arg { return Arg{Name: name, Type: "CephString"} }
	own := []Command{
		{"help", "list available commands", nil, d.help},
		{"get_command_descriptions", "list available commands, with their arguments", nil, d.descriptions},
		{"version", "get version", nil, d.version},
		{"0", "", nil, func(Args) (any, error) { return rawAnswer("2"), nil }}, // the protocol's version
		{"perf dump", "dump perfcounters value", []Arg{str("logger"), str("counter")}, d.perfDump},
		{"perf schema", "dump perfcounters schema", []Arg{str("logger"), str("counter")}, d.perfSchema},
		{"perf histogram dump", "dump perf histogram values", []Arg{str("logger"), str("counter")}, d.histogramDump},
		{"perf histogram schema", "dump perf histogram schema", nil, d.histogramSchema},
		{"messenger dump", "dump messengers with their workers, throttles and connections (at most max of each, 1000)",
			[]Arg{str("messenger"), {Name: "max", Type: "CephInt", Optional: true}}, d.messengerDump},
		{"dispatch dump", "dump what waits for dispatch, and which callbacks run for long",
			[]Arg{str("messenger")}, d.dispatchDump},
		{"config show", "dump current config settings", []Arg{str("messenger")}, d.configShow},
		{"config get", "config get <field>: get the config value", []Arg{must("var"), str("messenger")}, d.configGet},
		{"config set", "config set <field> <val>: set a config variable, of all messengers",
			[]Arg{must("var"), {Name: "val", Type: "CephString", Many: true}}, d.configSet},
	}
	for _, c := range append(own, cfg.Commands...) {
		words := strings.Fields(c.Name)
		name := strings.Join(words, " ")
		switch {
		case len(words) == 0 || len(words) > 3 || c.Run == nil:
			return nil, fmt.Errorf("admin: a command has one to three words and a Run: %q", c.Name)
		case d.commands[name] != nil:
			return nil, fmt.Errorf("admin: two commands %q", name)
		}
		d.commands[name] = &c
	}
	return d, nil
}

// of is the messenger that something is on.
func (d *desk) of(m *async.Messenger, what string) (*named, error) {
	i := slices.IndexFunc(d.messengers, func(n named) bool { return n.Messenger == m })
	if i < 0 {
		return nil, fmt.Errorf("admin: the messenger of a %s, %s, is not among Config.Messengers", what, m.Name())
	}
	return &d.messengers[i], nil
}

func (d *desk) version(Args) (any, error) {
	return struct {
		Version string `json:"version"`
		Library string `json:"library"`
	}{d.cfg.Version, "asyncmsgr"}, nil
}

// chosen are the messengers of that name; all for "".
func (d *desk) chosen(name string) ([]named, error) {
	if name == "" {
		return d.messengers, nil
	}
	for _, m := range d.messengers {
		if m.name == name {
			return []named{m}, nil
		}
	}
	return nil, &Error{syscallENOENT, fmt.Sprintf("no messenger %s", quoted(name))}
}
