package conf

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
)

// Bounds of a file: beyond them it is an error.
const (
	lineMax    = 64 << 10
	optionsMax = 100_000
)

// ErrSyntax is wrapped by the errors of Parse.
var ErrSyntax = errors.New("conf: not a configuration file of Ceph's")

// File is a ceph.conf: options by sections. The zero File is empty.
type File struct {
	sections map[string]map[string]string
	n        int
}

// Parse reads a ceph.conf. Names of options may have spaces or dashes for underscores; what
// comes later counts. A line that ends with a backslash goes on in the next one. Comments begin
// with # or ;, also behind a value. An error names the line.
//
//	[global]
//	    mon host = [v2:10.0.0.1:3300,v1:10.0.0.1:6789]
//	[client.admin]
//	    keyring = /etc/ceph/$cluster.$name.keyring
func Parse(r io.Reader) (*File, error) {
	f := &File{sections: map[string]map[string]string{}}
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, lineMax)
	section, line := "", 0
	for sc.Scan() {
		line++
		first, text := line, sc.Text()
		for strings.HasSuffix(text, `\`) && sc.Scan() {
			line++
			if text = text[:len(text)-1] + sc.Text(); len(text) > lineMax {
				return nil, fmt.Errorf("%w: line %d: more than %d bytes", ErrSyntax, first, lineMax)
			}
		}
		if first == 1 {
			text = strings.TrimPrefix(text, "\ufeff")
		}
		var err error
		if section, err = f.line(section, uncommented(text)); err != nil {
			return nil, fmt.Errorf("%w: line %d: %w", ErrSyntax, first, err)
		}
	}
	if err := sc.Err(); err != nil {
		return nil, fmt.Errorf("%w: line %d: %w", ErrSyntax, line+1, err)
	}
	return f, nil
}

// line takes one line, without its comment, and returns the section that the next one is in.
func (f *File) line(section, text string) (string, error) {
	if text == "" {
		return section, nil
	}
	if rest, ok := strings.CutPrefix(text, "["); ok {
		name, behind, ok := strings.Cut(rest, "]")
		if name = strings.TrimSpace(name); !ok || name == "" || strings.TrimSpace(behind) != "" {
			return "", errors.New("a section is not closed, or has no name; one is [global]")
		}
		return name, nil
	}
	option, value, ok := strings.Cut(text, "=")
	option = normal(option)
	switch {
	case !ok || option == "":
		return "", errors.New("neither a section nor an option with its value, such as mon_host = 10.0.0.1")
	case section == "":
		return "", errors.New("an option before the first section")
	}
	if f.n++; f.n > optionsMax {
		return "", fmt.Errorf("more than %d options", optionsMax)
	}
	if f.sections[section] == nil {
		f.sections[section] = map[string]string{}
	}
	f.sections[section][option] = unquoted(strings.TrimSpace(value))
	return section, nil
}

// normal is the name of an option with underscores.
func normal(option string) string {
	words := strings.FieldsFunc(option, func(r rune) bool { return strings.ContainsRune(" \t_-", r) })
	return strings.Join(words, "_")
}

// uncommented is a line without its comment and the spaces around it. Within quotes, and behind
// a backslash, # and ; are what they are.
func uncommented(s string) string {
	quote := byte(0)
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\':
			i++
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == '#' || c == ';':
			return strings.TrimSpace(s[:i])
		}
	}
	return strings.TrimSpace(s)
}

// unquoted is a value without the quotes around it, and without the backslashes before
// characters that need them.
func unquoted(s string) string {
	if n := len(s); n >= 2 && (s[0] == '"' || s[0] == '\'') && s[n-1] == s[0] {
		s = s[1 : n-1]
	}
	return strings.NewReplacer(`\#`, "#", `\;`, ";", `\"`, `"`, `\\`, `\`).Replace(s)
}

// Get is the value of an option for an entity: that of its own section, [client.admin], or of
// its type's, [client], or of [global].
func (f *File) Get(name entity.AuthName, option string) (value string, ok bool) {
	option = normal(option)
	for _, section := range []string{name.String(), name.Type.String(), "global"} {
		if value, ok = f.sections[section][option]; ok {
			return value, true
		}
	}
	return "", false
}

// expand puts in what is known: $cluster, $type, $id, $name, also as ${name}.
func expand(s, cluster string, name entity.AuthName) string {
	known := []string{"cluster", cluster, "type", name.Type.String(), "id", name.ID, "name", name.String()}
	var pairs []string
	for i := 0; i < len(known); i += 2 {
		pairs = append(pairs, "${"+known[i]+"}", known[i+1], "$"+known[i], known[i+1])
	}
	return strings.NewReplacer(pairs...).Replace(s)
}

// keyringsDefault is where keyrings are unless the file says otherwise.
const keyringsDefault = "/etc/ceph/$cluster.$name.keyring,/etc/ceph/$cluster.keyring," +
	"/etc/ceph/keyring,/etc/ceph/keyring.bin"

// Keyrings are the files in which the keyring of an entity may be, in the order in which they
// are to be looked for. cluster is the name of the cluster, that of the file without .conf;
// "": ceph.
func (f *File) Keyrings(cluster string, name entity.AuthName) (paths []string) {
	value, ok := f.Get(name, "keyring")
	if !ok {
		value = keyringsDefault
	}
	if cluster == "" {
		cluster = "ceph"
	}
	for _, p := range strings.FieldsFunc(value, func(r rune) bool { return strings.ContainsRune(",; \t", r) }) {
		paths = append(paths, expand(p, cluster, name))
	}
	return paths
}

// Wants says whether the cluster lets clients in by a method, "cephx" or "none", as the file
// has it: auth_client_required, or auth_supported in older ones. Without these it is cephx.
func (f *File) Wants(name entity.AuthName, method string) bool {
	value, ok := f.Get(name, "auth_client_required")
	if old, is := f.Get(name, "auth_supported"); is && !ok {
		value, ok = old, true
	}
	if !ok {
		value = "cephx"
	}
	for _, m := range strings.FieldsFunc(value, func(r rune) bool { return strings.ContainsRune(",; \t", r) }) {
		if m == method {
			return true
		}
	}
	return false
}
