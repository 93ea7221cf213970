package compress

import (
	"fmt"
	"slices"
	"strings"
	"sync"
)

// registered are the algorithms that configurations can name, by their numbers. Packages add to
// it while they are initialized; it is not looked at while messages are sent.
var registered = registry{list: []Algorithm{Zlib{}}}

type registry struct {
	mu   sync.Mutex
	list []Algorithm
}

// Register adds a, or puts it in the place of the one with its number. Call it from an init
// function. It panics if another one has its name.
func Register(a Algorithm) {
	if a.ID() == IDNone {
		panic("compress: number 0 means that there is no compression")
	}
	registered.mu.Lock()
	defer registered.mu.Unlock()
	for _, x := range registered.list {
		if x.Name() == a.Name() && x.ID() != a.ID() {
			panic(fmt.Sprintf("compress: %s is number %d already", x.Name(), x.ID()))
		}
	}
	registered.list = slices.DeleteFunc(registered.list, func(x Algorithm) bool { return x.ID() == a.ID() })
	registered.list = append(registered.list, a)
	slices.SortFunc(registered.list, func(a, b Algorithm) int { return int(int64(a.ID()) - int64(b.ID())) })
}

// Registered returns the algorithms that there are, by their numbers.
func Registered() []Algorithm {
	registered.mu.Lock()
	defer registered.mu.Unlock()
	return slices.Clone(registered.list)
}

// ByID returns the algorithm of that number, or nil.
func ByID(id uint32) Algorithm {
	return find(func(a Algorithm) bool { return a.ID() == id })
}

// ByName returns the algorithm of that name. The error says which there are.
func ByName(name string) (Algorithm, error) {
	if a := find(func(a Algorithm) bool { return a.Name() == name }); a != nil {
		return a, nil
	}
	var names []string
	for _, a := range Registered() {
		names = append(names, a.Name())
	}
	return nil, fmt.Errorf("compress: %q is not registered, there is %s; import async/compress/codecs for snappy, "+
		"zstd and lz4", name, strings.Join(names, ", "))
}

func find(is func(Algorithm) bool) Algorithm {
	list := Registered()
	if i := slices.IndexFunc(list, is); i >= 0 {
		return list[i]
	}
	return nil
}

// NameOf is the name of the algorithm of that number, "none" for 0, and its digits if it is not
// known here.
func NameOf(id uint32) string {
	if id == IDNone {
		return "none"
	}
	if a := ByID(id); a != nil {
		return a.Name()
	}
	return fmt.Sprint(id)
}
