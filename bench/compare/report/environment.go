package report

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"time"
)

// Environment is where and how a comparison ran. It is part of every report, as
// figures of different machines have nothing to do with each other.
type Environment struct {
	Date       string `json:"date"` // RFC 3339
	Kernel     string `json:"kernel"`
	Platform   string `json:"platform"` // GOOS/GOARCH
	CPU        string `json:"cpu"`      // the model
	Cores      int    `json:"cores"`    // that the process may use
	MemoryMiB  int    `json:"memory_mib"`
	Go         string `json:"go"`
	Commit     string `json:"commit"`
	GOMAXPROCS int    `json:"gomaxprocs"`
	GOGC       string `json:"gogc"`
	Load       string `json:"load_average"` // of 1, 5 and 15 minutes, at the start
	Command    string `json:"command"`
}

const unknown = "unknown"

// CollectEnvironment looks at the machine and at this process now: call it before
// anything is measured. What cannot be found out is "unknown" or 0.
func CollectEnvironment() Environment {
	e := Environment{
		Date: time.Now().Format(time.RFC3339), Kernel: firstLine("/proc/sys/kernel/osrelease"),
		Platform: runtime.GOOS + "/" + runtime.GOARCH, CPU: unknown, Cores: runtime.NumCPU(), Go: runtime.Version(),
		Commit: commit(), GOMAXPROCS: runtime.GOMAXPROCS(0), GOGC: "100 (default)", Load: unknown,
		Command: strings.Join(append([]string{"msgrbench"}, os.Args[1:]...), " "),
	}
	if v := os.Getenv("GOGC"); v != "" {
		e.GOGC = v
	}
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				e.CPU = strings.TrimSpace(value)
				break
			}
		}
	}
	if f := strings.Fields(firstLine("/proc/loadavg")); len(f) >= 3 {
		e.Load = strings.Join(f[:3], " ")
	}
	if f := strings.Fields(firstLine("/proc/meminfo")); len(f) >= 2 && f[0] == "MemTotal:" {
		kib, _ := strconv.Atoi(f[1]) // 0: unknown
		e.MemoryMiB = kib >> 10
	}
	return e
}

// commit is what the binary was stamped with, or that of the working directory if it is
// a checkout of this module.
func commit() string {
	info, ok := debug.ReadBuildInfo()
	if ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				return s.Value
			}
		}
	}
	if id, err := checkout(); err == nil {
		return id
	}
	if ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return unknown
}

var errOther = errors.New("another module")

// checkout is the commit of the working directory.
func checkout() (string, error) {
	top, err := exec.Command("git", "rev-parse", "--show-toplevel").Output()
	if err != nil {
		return "", err
	}
	mod := firstLine(filepath.Join(strings.TrimSpace(string(top)), "go.mod"))
	if mod != "module github.com/asyncmsgr/asyncmsgr" {
		return "", errOther
	}
	id, err := exec.Command("git", "rev-parse", "--short=12", "HEAD").Output()
	if err != nil {
		return "", err
	}
	c := strings.TrimSpace(string(id))
	dirty, err := exec.Command("git", "status", "--porcelain", "--untracked-files=no").Output()
	if err == nil && len(dirty) > 0 {
		c += ", modified"
	}
	return c, nil
}

func firstLine(file string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return unknown
	}
	line, _, _ := strings.Cut(string(text), "\n")
	return line
}

// Write writes the environment as text, a line for each field.
func (e Environment) Write(w io.Writer) error {
	for _, f := range e.Fields() {
		if _, err := fmt.Fprintf(w, "%s: %s\n", f.Name, f.Value); err != nil {
			return err
		}
	}
	return nil
}

// Field is a name and its value, for people.
type Field struct{ Name, Value string }

// Fields returns the environment in the order in which it is printed.
func (e Environment) Fields() []Field {
	memory := unknown
	if e.MemoryMiB > 0 {
		memory = fmt.Sprintf("%d MiB", e.MemoryMiB)
	}
	return []Field{
		{"date", e.Date}, {"kernel", e.Kernel}, {"platform", e.Platform}, {"cpu", e.CPU},
		{"cores", strconv.Itoa(e.Cores)}, {"memory", memory}, {"go", e.Go}, {"commit", e.Commit},
		{"GOMAXPROCS", strconv.Itoa(e.GOMAXPROCS)}, {"GOGC", e.GOGC},
		{"load average at the start", e.Load}, {"command", e.Command},
	}
}
