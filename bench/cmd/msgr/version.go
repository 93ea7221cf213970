package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
)

type versionCmd struct{}

// Run prints what the binary was built from.
func (versionCmd) Run(w io.Writer) error {
	version, deps := "(devel)", []*debug.Module(nil)
	if info, ok := debug.ReadBuildInfo(); ok {
		deps = info.Deps
		if v := info.Main.Version; v != "" {
			version = v
		}
	}
	if _, err := fmt.Fprintf(w, "msgr %s, %s %s/%s, msgr v2.1\n",
		version, runtime.Version(), runtime.GOOS, runtime.GOARCH); err != nil {
		return err
	}
	for _, d := range deps {
		switch d.Path {
		case "github.com/cloudwego/netpoll", "github.com/panjf2000/ants/v2":
			if _, err := fmt.Fprintf(w, "  %s %s\n", d.Path, d.Version); err != nil {
				return err
			}
		}
	}
	return nil
}
