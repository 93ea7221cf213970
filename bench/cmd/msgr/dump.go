package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/admin"
	"github.com/asyncmsgr/asyncmsgr/bench/internal/command"
)

type dumpCmd struct {
	Path    string        `arg:"" help:"Path of the admin socket."`
	Command []string      `arg:"" optional:"" help:"Words of the command; without: messenger dump."`
	Timeout time.Duration `default:"5s" help:"How long the answer may take."`
}

// Help is shown by msgr dump --help.
func (dumpCmd) Help() string {
	return `Asks the admin socket of a process, such as "msgr node --admin PATH" or a daemon of Ceph's, and prints its answer, which is JSON.

Examples:
  msgr dump /run/osd.0.asok                      all messengers, with their connections
  msgr dump /run/osd.0.asok perf dump            counters, under Ceph's names where it has them
  msgr dump /run/osd.0.asok config set keepalive_interval 10
  msgr dump /run/osd.0.asok help                 the other commands
  msgr dump /run/osd.0.asok '{"prefix": "perf dump", "logger": "msgr-osd.0"}'

Ceph's daemons take commands in JSON alone; words without arguments are sent so.
"ceph --admin-daemon PATH" and "ceph daemonperf PATH" ask the same socket.

The exit code is 1 if nobody answers, or the command is refused.`
}

// Run asks.
func (c *dumpCmd) Run(w io.Writer) error {
	if c.Timeout <= 0 {
		return command.Usage(errors.New("--timeout is to be more than 0"))
	}
	answer, err := admin.Ask(c.Path, c.command(), c.Timeout)
	if err != nil {
		return err
	}
	if admin.IsRefusal(answer) {
		return fmt.Errorf("%s: %s", c.Path, strings.ReplaceAll(strings.TrimSpace(string(answer)), "\n", ": "))
	}
	if !bytes.HasSuffix(answer, []byte("\n")) {
		answer = append(answer, '\n')
	}
	_, err = w.Write(answer)
	return err
}

// command is what is sent.
func (c *dumpCmd) command() []byte {
	words := strings.Join(c.Command, " ")
	switch {
	case words == "":
		words = "messenger dump"
	case strings.HasPrefix(words, "{"):
		return []byte(words)
	}
	if len(c.Command) > 2 || strings.HasPrefix(words, "config ") || strings.HasPrefix(words, "messenger dump ") {
		return []byte(words) // it has arguments, whose names are not known here
	}
	b, _ := json.Marshal(map[string]string{"prefix": words}) // of texts: it cannot fail
	return b
}
