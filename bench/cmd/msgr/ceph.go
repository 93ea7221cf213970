package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/mon"
	"github.com/asyncmsgr/asyncmsgr/async/mon/wire"
	"github.com/asyncmsgr/asyncmsgr/async/osd"
	"github.com/asyncmsgr/asyncmsgr/bench/internal/command"
)

// cephCmd asks a Ceph cluster something, as Ceph's own tools do: a proof that what this library
// has of Ceph's clients works.
type cephCmd struct {
	Conf    string        `default:"/etc/ceph/ceph.conf" help:"The cluster's ceph.conf, which says where the monitors are."`
	Keyring string        `help:"File with the keys of Ceph's entities; otherwise that of ceph.conf."`
	Name    string        `default:"client.admin" help:"Who asks."`
	Mode    string        `default:"any" enum:"any,crc,secure" help:"The mode of connections: any, crc, secure (encrypted)."`
	Timeout time.Duration `default:"30s" help:"How long all may take."`

	Status cephStatus `cmd:"" help:"Show the state of the cluster."`
	OSDMap cephOSDMap `cmd:"" name:"osd-map" help:"Show the map of OSDs."`
	Put    cephPut    `cmd:"" help:"Write an object."`
	Get    cephGet    `cmd:"" help:"Read an object."`
}

// Help is shown by ceph --help.
func (cephCmd) Help() string {
	return `Asks the monitors of a Ceph cluster, 16.2 or later, and writes and reads objects at its OSDs:

  msgr ceph status --conf ceph.conf
  msgr ceph --conf ceph.conf --keyring keyring --name client.admin put mypool myobject FILE
  msgr ceph --conf ceph.conf get mypool myobject -

Where an object is the monitor is asked for each time: this is a proof, and no replacement of rados. docs/CEPH.md.`
}

type (
	cephStatus struct {
		JSON bool `name:"json" help:"Print JSON, as the monitor has it."`
	}
	cephOSDMap struct {
		JSON bool `name:"json" help:"Print JSON, as the monitor has it."`
	}
	cephPut struct {
		JSON   bool   `name:"json" help:"Print a JSON object."`
		Pool   string `arg:"" help:"Name of the pool."`
		Object string `arg:"" help:"Name of the object."`
		File   string `arg:"" optional:"" default:"-" help:"File to write from, - for stdin."`
	}
	cephGet struct {
		Pool   string `arg:"" help:"Name of the pool."`
		Object string `arg:"" help:"Name of the object."`
		File   string `arg:"" optional:"" default:"-" help:"File to write to, - for stdout."`
	}
)

// Help is shown by ceph status --help.
func (cephStatus) Help() string {
	return `Asks a monitor for the state of the cluster, as "ceph status" does.

Examples:
  msgr ceph status --conf ceph.conf
  msgr ceph status --conf ceph.conf --json`
}

// Help is shown by ceph osd-map --help.
func (cephOSDMap) Help() string {
	return `Subscribes to the map of OSDs, and shows what came and what the monitor says is in it.

Examples:
  msgr ceph osd-map --conf ceph.conf
  msgr ceph osd-map --conf ceph.conf --json`
}

// Help is shown by ceph put --help.
func (cephPut) Help() string {
	return `Writes an object whole, of 32 MiB at most, in the place of what it had.

Examples:
  msgr ceph put --conf ceph.conf mypool myobject FILE
  echo text | msgr ceph put --conf ceph.conf mypool myobject`
}

// Help is shown by ceph get --help.
func (cephGet) Help() string {
	return `Reads an object, of 32 MiB at most.

Examples:
  msgr ceph get --conf ceph.conf mypool myobject
  msgr ceph get --conf ceph.conf --keyring keyring --mode secure mypool myobject FILE`
}

// objectMax bounds an object, in bytes.
const objectMax = 32 << 20

// do opens the cluster, and has f ask it.
func (c *cephCmd) do(cfg mon.Config, f func(context.Context, *mon.Client) error) (err error) {
	if c.Timeout <= 0 {
		return command.Usage(fmt.Errorf("--timeout is %v, and is to be more than 0", c.Timeout))
	}
	ctx, stop := command.Interruptible()
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	login, mons, err := c.login(ctx)
	if err != nil {
		return command.Usage(err)
	}
	cfg.Mons = mons
	client, err := mon.Open(cfg, login)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	if err = client.Ready(ctx); err == nil {
		err = f(ctx, client)
	}
	if err != nil && errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
		err = fmt.Errorf("not within %v (--timeout): %w", c.Timeout, err)
	}
	return err
}

// show has a monitor carry out a command and prints its answer, for people or as JSON.
func show(ctx context.Context, client *mon.Client, w io.Writer, prefix string, asJSON bool) error {
	format := "plain"
	if asJSON {
		format = "json-pretty"
	}
	a, err := client.Command(ctx, fmt.Sprintf(`{"prefix":%q,"format":%q}`, prefix, format), nil)
	if err != nil {
		return fmt.Errorf("%s: %w", prefix, err)
	}
	out := strings.Trim(string(a.Output), "\n")
	if out == "" {
		out = a.Status
	}
	_, err = fmt.Fprintln(w, out)
	return err
}

// Run shows the state of the cluster.
func (s cephStatus) Run(c *cephCmd, w io.Writer) error {
	return c.do(mon.Config{}, func(ctx context.Context, client *mon.Client) error {
		return show(ctx, client, w, "status", s.JSON)
	})
}

// Run shows the map of OSDs: that it comes by subscription, and what the monitor says is in it.
func (m cephOSDMap) Run(c *cephCmd, w io.Writer) error {
	return c.do(mon.Config{OSDMap: true}, func(ctx context.Context, client *mon.Client) error {
		maps, err := client.WaitOSDMap(ctx, 1)
		if err != nil {
			return err
		}
		if !m.JSON {
			fmt.Fprintf(w, "OSD map of epoch %d, %d bytes, of cluster %s\n", maps.Epoch(),
				size(maps.Full, maps.Incremental), client.MonMap().FSID)
		}
		return show(ctx, client, w, "osd dump", m.JSON)
	})
}

func size(full wire.MapBytes, changes []wire.MapBytes) int {
	n := len(full.Bytes)
	for _, x := range changes {
		n += len(x.Bytes)
	}
	return n
}

// Run writes an object.
func (p cephPut) Run(c *cephCmd, w io.Writer) error {
	data, err := p.read()
	if err != nil {
		return command.Usage(err)
	}
	return c.do(mon.Config{}, func(ctx context.Context, client *mon.Client) error {
		o, err := osd.New(client, osd.Config{})
		if err != nil {
			return err
		}
		if err := o.Write(ctx, p.Pool, p.Object, data); err != nil {
			return err
		}
		if p.JSON {
			return command.WriteJSON(w, map[string]any{"pool": p.Pool, "object": p.Object, "bytes": len(data)})
		}
		_, err = fmt.Fprintf(w, "%s/%s has %d bytes\n", p.Pool, p.Object, len(data))
		return err
	})
}

// read reads what is to be written.
func (p cephPut) read() ([]byte, error) {
	f := os.Stdin
	if p.File != "-" {
		var err error
		if f, err = os.Open(p.File); err != nil {
			return nil, err
		}
		defer f.Close()
	}
	data, err := io.ReadAll(io.LimitReader(f, objectMax+1))
	if err == nil && len(data) > objectMax {
		err = fmt.Errorf("%s has more than %d bytes", p.File, objectMax)
	}
	return data, err
}

// Run reads an object.
func (g cephGet) Run(c *cephCmd, w io.Writer) error {
	return c.do(mon.Config{}, func(ctx context.Context, client *mon.Client) error {
		o, err := osd.New(client, osd.Config{ReadMax: objectMax})
		if err != nil {
			return err
		}
		data, err := o.Read(ctx, g.Pool, g.Object)
		if err != nil {
			return err
		}
		if g.File == "-" {
			_, err = w.Write(data)
			return err
		}
		return os.WriteFile(g.File, data, 0o666)
	})
}

// cluster is the cluster's name: that of the file without .conf.
func cluster(conf string) string {
	return strings.TrimSuffix(filepath.Base(conf), ".conf")
}

// notThere says what to do about a file that is missing.
func notThere(err error, advice string) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w; %s", err, advice)
	}
	return err
}
