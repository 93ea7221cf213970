package resolve

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
)

// errHalf is a text that lacks its last line.
var errHalf = errors.New(`no line "end" at the end: the file is half written, or somebody forgot it`)

// ParseMap reads a map from text or, if it begins with a brace, from JSON. An epoch of 0
// means that the text names none. The entries are in the order of the text, and not checked
// against each other: that does NewMap.
//
// Text has an entry a line, a name and an address vector as entity.ParseAddrVec has it; what
// follows # is a comment. A first line may name the epoch, the last one is "end":
//
//	epoch 7
//	osd.1 10.0.0.1:7001
//	osd.2 [v2:10.0.0.2:7001/5,v2:[fd00::2]:7001/5]   # with nonces
//	end
//
// JSON is the same: {"epoch": 7, "entries": [{"name": "osd.1", "addrs": "10.0.0.1:7001"}]}.
func ParseMap(text []byte) (epoch uint64, entries []Entry, err error) {
	if t := bytes.TrimLeft(text, " \t\r\n"); len(t) > 0 && t[0] == '{' {
		return parseJSON(t)
	}
	ended := false
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		line, _, _ = strings.Cut(line, "#")
		f := strings.Fields(line)
		switch {
		case len(f) == 0:
			continue
		case ended:
			return 0, nil, fmt.Errorf("line %d: there is something after the end", n)
		case f[0] == "end" && len(f) == 1:
			ended = true
			continue
		case len(f) != 2:
			return 0, nil, fmt.Errorf("line %d: %d words, where a name and its addresses are to be", n, len(f))
		case f[0] == "epoch":
			if epoch != 0 || len(entries) > 0 {
				return 0, nil, fmt.Errorf("line %d: the epoch is the first line, once", n)
			}
			if epoch, err = strconv.ParseUint(f[1], 10, 64); err != nil || epoch == 0 {
				return 0, nil, fmt.Errorf("line %d: epoch %q is no number from 1 up", n, f[1])
			}
			continue
		}
		e, err := parseEntry(f[0], f[1])
		if err != nil {
			return 0, nil, fmt.Errorf("line %d: %w", n, err)
		}
		if entries = append(entries, e); len(entries) > EntriesMax {
			return 0, nil, fmt.Errorf("line %d: %w", n, ErrTooMany)
		}
	}
	if !ended {
		return 0, nil, errHalf
	}
	return epoch, entries, nil
}

func parseEntry(name, addrs string) (e Entry, err error) {
	if e.Name, err = entity.ParseName(name); err != nil {
		return e, err
	}
	e.Addrs, err = entity.ParseAddrVec(addrs)
	return e, err
}

func parseJSON(text []byte) (uint64, []Entry, error) {
	var x struct {
		Epoch   uint64
		Entries []struct{ Name, Addrs string }
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&x); err != nil {
		return 0, nil, err
	}
	if rest := bytes.TrimSpace(text[d.InputOffset():]); len(rest) > 0 {
		return 0, nil, errors.New("there is something after the end")
	}
	entries := make([]Entry, len(x.Entries))
	for i, e := range x.Entries {
		var err error
		if entries[i], err = parseEntry(e.Name, e.Addrs); err != nil {
			return 0, nil, fmt.Errorf("entry %d: %w", i+1, err)
		}
	}
	return x.Epoch, entries, nil
}

// AppendText appends the map as text that ParseMap reads.
func (m *Map) AppendText(b []byte) ([]byte, error) {
	b = fmt.Appendf(b, "epoch %d\n", m.Epoch)
	for _, e := range m.Entries {
		b = fmt.Appendf(b, "%s %s\n", e.Name, e.Addrs)
	}
	return append(b, "end\n"...), nil
}
