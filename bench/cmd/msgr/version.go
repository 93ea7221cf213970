package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/asyncmsgr/asyncmsgr/bench/internal/command"
)

type versionCmd struct {
	JSON bool `name:"json" help:"Print one JSON object."`
}

// Help is shown by msgr version --help.
func (versionCmd) Help() string {
	return `Examples:
  msgr version
  msgr version --json`
}

// Run prints what the binary was built from.
func (c versionCmd) Run(w io.Writer) error {
	version, deps := "(devel)", []*debug.Module(nil)
	if info, ok := debug.ReadBuildInfo(); ok {
		deps = info.Deps
		if v := info.Main.Version; v != "" {
			version = v
		}
	}
	if c.JSON {
		return command.WriteJSON(w, versionJSON(version, deps))
	}
	if _, err := fmt.Fprintf(w, "msgr %s, %s %s/%s, msgr v2.1\n",
		version, runtime.Version(), runtime.GOOS, runtime.GOARCH); err != nil {
		return err
	}
	for _, d := range deps {
		if networkDeps[d.Path] {
			if _, err := fmt.Fprintf(w, "  %s %s\n", d.Path, d.Version); err != nil {
				return err
			}
		}
	}
	return nil
}

// networkDeps are the modules that the messenger stands on.
var networkDeps = map[string]bool{"github.com/cloudwego/netpoll": true, "github.com/panjf2000/ants/v2": true}

// versionJSON is the same for programs.
func versionJSON(version string, deps []*debug.Module) any {
	on := map[string]string{}
	for _, d := range deps {
		if networkDeps[d.Path] {
			on[d.Path] = d.Version
		}
	}
	return struct {
		Version  string            `json:"version"`
		Go       string            `json:"go"`
		OS       string            `json:"os"`
		Arch     string            `json:"arch"`
		Protocol string            `json:"protocol"`
		Deps     map[string]string `json:"deps"`
	}{version, runtime.Version(), runtime.GOOS, runtime.GOARCH, "msgr v2.1", on}
}
