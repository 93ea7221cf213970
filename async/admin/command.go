package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
)

// The numbers of errors that answers name: Linux's, whatever this system has.
const (
	syscallENOENT = 2
	syscallE2BIG  = 7
	syscallEPERM  = 1
	syscallEINVAL = 22
	syscallEIO    = 5
)

var errorNames = map[int]string{
	syscallENOENT: "No such file or directory", syscallE2BIG: "Argument list too long",
	syscallEPERM: "Operation not permitted", syscallEINVAL: "Invalid argument", syscallEIO: "Input/output error",
}

// Error is why a command fails, with the number that the answer names. Any other error of a
// Command's Run counts as EINVAL.
type Error struct {
	Number int
	Why    string
}

// Error is Why.
func (e *Error) Error() string { return e.Why }

// Arg is an argument of a command.
type Arg struct {
	Name     string
	Type     string // CephString, CephInt, CephFloat
	Optional bool
	// Many takes all that follows; the last argument's alone.
	Many bool
}

// Command is what a Server answers.
type Command struct {
	// Name are the words, such as "perf dump".
	Name, Help string
	Args       []Arg
	// Run returns what becomes the JSON of the answer. args has what was given, each name with
	// one value, more of an argument with Many. It runs on the connection's goroutine, several at a time,
	// and may block; what it panics with is logged, and the answer is an error.
	Run func(args Args) (any, error)
}

// Args are the arguments of one call.
type Args map[string][]string

// Get is the first value of an argument, "" if there is none.
func (a Args) Get(name string) string {
	if v := a[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// Int is an argument as a number, or otherwise if it was not given.
func (a Args) Int(name string, otherwise int) (int, error) {
	v := a.Get(name)
	if v == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(v)
	if err != nil {
		return 0, fmt.Errorf("%s: %q is no number", name, v)
	}
	return n, nil
}

// refusal is the answer that says err.
func refusal(err error) []byte {
	e := &Error{Number: syscallEINVAL, Why: err.Error()}
	errors.As(err, &e)
	return fmt.Appendf(nil, "ERROR: (%d) %s\n%s\n", e.Number, errorNames[e.Number], err)
}

// answer is what comes back for a command.
func (d *desk) answer(command []byte) (answer []byte) {
	defer func() {
		if r := recover(); r != nil {
			d.cfg.Logger.Error("admin: a command panicked", "command", string(command[:min(len(command), 200)]),
				"panic", r, "stack", string(debug.Stack()))
			answer = refusal(&Error{syscallEIO, "the command panicked"})
		}
	}()
	c, args, err := d.parse(command)
	if err != nil {
		return refusal(err)
	}
	v, err := c.Run(args)
	if err != nil {
		return refusal(err)
	}
	if raw, ok := v.(rawAnswer); ok {
		return []byte(raw)
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "    ")
	if err := e.Encode(v); err != nil {
		return refusal(&Error{syscallEIO, fmt.Sprintf("%s: %v", c.Name, err)})
	}
	if most := d.cfg.answerMax; b.Len() > most {
		return refusal(&Error{syscallE2BIG, fmt.Sprintf("the answer has %d bytes, more than %d", b.Len(), most)})
	}
	return b.Bytes()
}

// rawAnswer is an answer that is no JSON.
type rawAnswer string

// parse finds the command and its arguments.
func (d *desk) parse(command []byte) (*Command, Args, error) {
	command = bytes.TrimSpace(command)
	if !bytes.HasPrefix(command, []byte("{")) {
		return d.parseWords(strings.Fields(string(command)))
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(command, &fields); err != nil {
		return nil, nil, errors.New("invalid json")
	}
	var prefix string
	if json.Unmarshal(fields["prefix"], &prefix) != nil {
		return nil, nil, errors.New("invalid json: no \"prefix\"")
	}
	c := d.commands[strings.Join(strings.Fields(prefix), " ")]
	if c == nil {
		return nil, nil, fmt.Errorf("unknown command prefix %s", quoted(prefix))
	}
	args := Args{}
	for _, a := range c.Args {
		raw, ok := fields[a.Name]
		if !ok {
			continue
		}
		v, err := valuesOf(raw)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %s: %w", c.Name, a.Name, err)
		}
		args[a.Name] = v
	}
	return c, args, check(c, args)
}

// parseWords is parse for a command of words: the arguments follow its name.
func (d *desk) parseWords(words []string) (*Command, Args, error) {
	for n := min(len(words), 3); n > 0; n-- {
		c := d.commands[strings.Join(words[:n], " ")]
		if c == nil {
			continue
		}
		args, rest := Args{}, words[n:]
		for _, a := range c.Args {
			switch {
			case len(rest) == 0:
			case a.Many:
				args[a.Name], rest = rest, nil
			default:
				args[a.Name], rest = rest[:1], rest[1:]
			}
		}
		if len(rest) > 0 {
			return nil, nil, fmt.Errorf("%s: what is %s?", c.Name, quoted(strings.Join(rest, " ")))
		}
		return c, args, check(c, args)
	}
	return nil, nil, fmt.Errorf("unknown command %s", quoted(strings.Join(words, " ")))
}

func quoted(s string) string { return strconv.Quote(s[:min(len(s), 200)]) }

func check(c *Command, args Args) error {
	for _, a := range c.Args {
		switch v := args[a.Name]; {
		case len(v) == 0 && !a.Optional:
			return fmt.Errorf("%s: %s is missing", c.Name, a.Name)
		case len(v) > 1 && !a.Many:
			return fmt.Errorf("%s: more than one %s", c.Name, a.Name)
		}
	}
	return nil
}

// valuesOf are the values of an argument: a string, a number, a truth, or an array of these.
func valuesOf(raw json.RawMessage) (out []string, err error) {
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil {
		list = []json.RawMessage{raw}
	}
	for _, x := range list {
		var s string
		if json.Unmarshal(x, &s) != nil {
			if s = string(bytes.TrimSpace(x)); s == "" || strings.ContainsAny(s[:1], "[{n") {
				return nil, errors.New("neither a text nor a number")
			}
		}
		out = append(out, s)
	}
	return out, nil
}

// help has the commands and their help.
func (d *desk) help(Args) (any, error) {
	all := map[string]string{}
	for name, c := range d.commands {
		if c.Help != "" {
			all[name] = c.Help
		}
	}
	return all, nil
}

// descriptions are by what Ceph's tools check commands before they send them.
func (d *desk) descriptions(Args) (any, error) {
	type arg struct {
		Name string `json:"name"`
		Type string `json:"type"`
		Req  string `json:"req,omitempty"`
		N    string `json:"n,omitempty"`
	}
	type description struct {
		Sig  []any  `json:"sig"`
		Help string `json:"help"`
	}
	var names []string
	for name := range d.commands {
		names = append(names, name)
	}
	slices.Sort(names)
	all := map[string]description{}
	for i, name := range names {
		c := d.commands[name]
		x := description{Help: c.Help}
		for _, w := range strings.Fields(name) {
			x.Sig = append(x.Sig, w)
		}
		for _, a := range c.Args {
			y := arg{Name: a.Name, Type: a.Type}
			if a.Optional {
				y.Req = "false"
			}
			if a.Many {
				y.N = "N"
			}
			x.Sig = append(x.Sig, y)
		}
		all[fmt.Sprintf("cmd%03d", i)] = x
	}
	return all, nil
}
