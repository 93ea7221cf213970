// Package nodecmd has the subcommands of the store, node, put, get, del, ls and status: those
// of msgr and, with more resolvers, of msgrnode.
package nodecmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/bench/internal/command"
	"github.com/asyncmsgr/asyncmsgr/bench/node"
	"github.com/asyncmsgr/asyncmsgr/connection/auth/tlsauth"
)

// DefaultPort is that of nodes, unless told.
const DefaultPort = 7000

// Node is the subcommand that is a node.
type Node struct {
	Name       string        `required:"" env:"MSGR_NAME" help:"The node's name, such as osd.1; osd-1, as pods are called, means the same."`
	Listen     string        `default:":7000" help:"Address to listen at; without a host at all of IPv4."`
	Advertise  string        `env:"MSGR_ADVERTISE" help:"IP address, or IP:PORT, by which others reach the node; otherwise it is found out."`
	Join       []string      `help:"HOST:PORT of other nodes, some of which are there."`
	Initial    []string      `help:"Names of the nodes that found the cluster, the same for all, such as osd.1,osd.2,osd.3."`
	Resolver   string        `help:"Where else to learn of other nodes: file:///PATH, srv://NAME; etcd:// in msgrnode."`
	Data       string        `help:"Folder of what the node is to remember. Without, it is in memory alone."`
	MaxBytes   int64         `default:"1073741824" help:"Bytes of objects, beyond which writes are refused."`
	Grace      time.Duration `default:"30s" help:"How long leaving may take, after SIGTERM."`
	Stay       bool          `help:"After SIGTERM end without leaving: for nodes that come back, with their data."`
	DownAfter  time.Duration `default:"3s" help:"How long a node may be silent until it is left out, and others make its copies."`
	SecretFile string        `help:"File with the secret that all nodes and clients share: then everything is encrypted."`
	Admin      string        `env:"MSGR_ADMIN" help:"Path of an admin socket, for msgr dump and Ceph's tools."`
	HTTP       string        `name:"http" env:"MSGR_HTTP" placeholder:"ADDR" help:"Serve a page that shows what the node's messenger does, at ADDR, such as :8080; without a host for this machine alone."`
	Quiet      bool          `help:"Log warnings and errors alone."`
}

// Help is shown by node --help.
func (Node) Help() string {
	return `A node of an object store: three copies of each object, two of which have it when a write is acknowledged.
Three nodes found a cluster when each is told who the three are; the others join it:

Examples:
  msgr node --name osd.1 --listen :7000 --initial osd.1,osd.2,osd.3 --join hosta:7000,hostb:7000,hostc:7000 --data /var/lib/msgr
  msgr node --name osd.4 --join hosta:7000,hostb:7000 --data /var/lib/msgr

The flags may stay when a node is started again. SIGTERM has the node leave: others fetch what it had,
then it ends. With three members or fewer, or --stay, it ends without leaving, and its copies are away until it is back.
After kill -9 a node with --data comes back as it was; one without is another one, and fetches its copies anew.

docs/CLUSTER.md says what is promised. The exit code is 1 if it could not begin, go on, or leave in time.`
}

// Run is the node, until a signal.
func (c *Node) Run(w io.Writer) error {
	cfg, err := c.config()
	if err != nil {
		return command.Usage(err)
	}
	if cfg.Source, err = open(c.Resolver, cfg.Logger); err != nil {
		return err
	}
	if cfg.Source.Close != nil {
		defer cfg.Source.Close()
	}
	where := "in memory alone"
	if c.Data != "" {
		where = "in " + c.Data
	}
	if c.HTTP != "" {
		if cfg.Page, cfg.PageHosts, err = command.ListenHTTP(c.HTTP); err != nil {
			return err
		}
	}
	cfg.Began = func(addr string) {
		fmt.Fprintf(w, "%s listens at %s, its data %s\n", cfg.Name, addr, where)
		if cfg.Page != nil {
			fmt.Fprintf(w, "its page is at http://%v/\n", cfg.Page.Addr())
		}
	}
	ctx, stop := command.Interruptible()
	defer stop()
	err = node.Run(ctx, cfg)
	if err == nil && ctx.Err() != nil {
		fmt.Fprintf(w, "%s has ended\n", cfg.Name)
	}
	return err
}

func (c *Node) config() (cfg node.DaemonConfig, err error) {
	cfg = node.DaemonConfig{Join: c.Join, Data: c.Data, MaxBytes: c.MaxBytes, Grace: c.Grace,
		Stay: c.Stay, DownAfter: c.DownAfter, Admin: c.Admin, LogLevel: new(slog.LevelVar)}
	if c.Quiet {
		cfg.LogLevel.Set(slog.LevelWarn)
	}
	cfg.Logger = loggerAt(cfg.LogLevel)
	if cfg.Name, err = parseName(c.Name); err != nil {
		return cfg, fmt.Errorf("--name: %w", err)
	}
	for _, s := range c.Initial {
		name, err := parseName(s)
		if err != nil {
			return cfg, fmt.Errorf("--initial: %w", err)
		}
		cfg.Initial = append(cfg.Initial, name)
	}
	if cfg.Listen, err = parseListen(c.Listen); err != nil {
		return cfg, fmt.Errorf("--listen: %w", err)
	}
	if c.Advertise != "" {
		if cfg.Advertise, err = parseAdvertise(c.Advertise); err != nil {
			return cfg, fmt.Errorf("--advertise: %w", err)
		}
	}
	if c.Grace <= 0 || c.MaxBytes <= 0 || c.DownAfter < time.Second {
		return cfg, errors.New("--grace and --max-bytes are to be more than 0, --down-after 1s or more")
	}
	if c.SecretFile != "" {
		a, err := secret(c.SecretFile, cfg.Name.String())
		if err != nil {
			return cfg, err
		}
		cfg.AuthClient, cfg.AuthServer = a.Client(), a.Server()
	}
	return cfg, nil
}

func loggerAt(level slog.Leveler) *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
}

// parseName reads the name of a node, in either form.
func parseName(s string) (entity.Name, error) {
	if i := strings.LastIndexByte(s, '-'); i > 0 && !strings.Contains(s, ".") {
		s = s[:i] + "." + s[i+1:]
	}
	n, err := entity.ParseName(s)
	if err == nil && (n.Type != entity.TypeOSD || n.Num < 0) {
		err = fmt.Errorf("%s is no name of a node; give one such as osd.1", s)
	}
	return n, err
}

func parseListen(s string) (netip.AddrPort, error) {
	if strings.HasPrefix(s, ":") {
		s = "0.0.0.0" + s
	}
	a, err := netip.ParseAddrPort(s)
	if err != nil {
		return a, fmt.Errorf("%q is no address; give one such as :7000 or 10.0.0.1:7000", s)
	}
	return a, nil
}

// parseAdvertise reads an IP address with or without a port, which 0 stands for.
func parseAdvertise(s string) (netip.AddrPort, error) {
	if ip, err := netip.ParseAddr(s); err == nil {
		return netip.AddrPortFrom(ip, 0), nil
	}
	a, err := netip.ParseAddrPort(s)
	if err != nil {
		return a, fmt.Errorf("%q is no IP address, with a port or without", s)
	}
	return a, nil
}

func secret(file, name string) (*tlsauth.Auth, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	self, err := tlsauth.ParseName(name)
	if err != nil {
		return nil, err
	}
	a, err := tlsauth.SharedSecret(self, b)
	if err != nil {
		return nil, fmt.Errorf("--secret-file %s: %w", file, err)
	}
	return a, nil
}

// client are the flags of those who ask.
type client struct {
	Join       []string      `env:"MSGR_JOIN" default:"127.0.0.1:7000" help:"HOST:PORT of nodes to ask, one after the other."`
	Resolver   string        `help:"Where to learn of nodes in place of --join: file:///PATH, srv://NAME; etcd:// in msgrnode."`
	Timeout    time.Duration `default:"10s" help:"How long it may take."`
	SecretFile string        `help:"File with the secret that all nodes and clients share."`
}

// with calls f with a client, and ends it.
func (c *client) with(f func(ctx context.Context, c *node.Client) error) (err error) {
	if c.Timeout <= 0 {
		return command.Usage(errors.New("--timeout is to be more than 0"))
	}
	ctx, stop := command.Interruptible()
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	quiet := slog.New(slog.DiscardHandler) // what matters is in the error
	cfg := async.Config{Logger: quiet}
	if c.SecretFile != "" {
		a, err := secret(c.SecretFile, "client.msgr")
		if err != nil {
			return err
		}
		cfg.AuthClient, cfg.AuthServer = a.Client(), a.Server()
	}
	addrs, err := c.addrs(ctx)
	if err != nil {
		return err
	}
	w, err := node.NewNetwork(cfg, nil)
	if err != nil {
		return err
	}
	if err := w.Start(); err != nil {
		return err
	}
	defer func() {
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		_ = w.Close(ended) // all was answered, or given up
	}()
	err = f(ctx, &node.Client{Transport: w, Addrs: addrs})
	if end := command.Interrupted(ctx); end != nil {
		err = errors.Join(err, end)
	}
	return err
}

func (c *client) addrs(ctx context.Context) ([]string, error) {
	if c.Resolver == "" {
		addrs, err := node.Lookup(ctx, c.Join...)
		if len(addrs) > 0 {
			return addrs, nil // the others are perhaps away
		}
		return nil, err
	}
	s, err := open(c.Resolver, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	if s.Close != nil {
		defer s.Close()
	}
	return first(ctx, s.Resolver)
}

// Put writes an object.
type Put struct {
	Key   string `arg:"" help:"The object's key."`
	Value string `arg:"" optional:"" help:"What is written; without, what comes from standard input."`
	JSON  bool   `name:"json" help:"Print one JSON object."`
	client
}

// Help is shown by put --help.
func (Put) Help() string {
	return `Examples:
  msgr put greeting hello --join hosta:7000,hostb:7000
  msgr put picture --join hosta:7000 --json       what comes from standard input`
}

// Run writes it and prints its version.
func (c *Put) Run(w io.Writer) error {
	value := []byte(c.Value)
	if c.Value == "" {
		var err error
		if value, err = io.ReadAll(io.LimitReader(os.Stdin, node.ValueMax+1)); err != nil {
			return err
		}
	}
	return c.with(func(ctx context.Context, cl *node.Client) error {
		v, err := cl.Put(ctx, c.Key, value)
		return printVersion(w, c.Key, v, err, c.JSON)
	})
}

// printVersion prints the version of what was written, unless there is an error, which it returns.
func printVersion(w io.Writer, key string, version fmt.Stringer, err error, asJSON bool) error {
	switch {
	case err != nil:
		return err
	case asJSON:
		return command.WriteJSON(w, map[string]string{"key": key, "version": version.String()})
	}
	_, err = fmt.Fprintf(w, "version %s\n", version)
	return err
}

// Get reads an object.
type Get struct {
	Key string `arg:"" help:"The object's key."`
	client
}

// Help is shown by get --help.
func (Get) Help() string {
	return `Examples:
  msgr get greeting --join hosta:7000,hostb:7000
  msgr get picture --join hosta:7000 > picture.png`
}

// Run prints the value, and nothing else.
func (c *Get) Run(w io.Writer) error {
	return c.with(func(ctx context.Context, cl *node.Client) error {
		o, err := cl.Get(ctx, c.Key)
		if err == nil {
			_, err = w.Write(o.Value)
		}
		return err
	})
}

// Del deletes an object.
type Del struct {
	Key  string `arg:"" help:"The object's key."`
	JSON bool   `name:"json" help:"Print one JSON object."`
	client
}

// Help is shown by del --help.
func (Del) Help() string {
	return `Examples:
  msgr del greeting --join hosta:7000,hostb:7000`
}

// Run deletes it.
func (c *Del) Run(w io.Writer) error {
	return c.with(func(ctx context.Context, cl *node.Client) error {
		v, err := cl.Delete(ctx, c.Key)
		return printVersion(w, c.Key, v, err, c.JSON)
	})
}

// Ls lists keys.
type Ls struct {
	Prefix string `arg:"" optional:"" help:"What the keys begin with."`
	JSON   bool   `name:"json" help:"Print a JSON array."`
	client
}

// Help is shown by ls --help.
func (Ls) Help() string {
	return `Examples:
  msgr ls --join hosta:7000
  msgr ls pictures/ --join hosta:7000 --json`
}

// Run prints the keys, one a line; those with odd characters in quotes.
func (c *Ls) Run(w io.Writer) error {
	return c.with(func(ctx context.Context, cl *node.Client) error {
		keys, err := cl.List(ctx, c.Prefix)
		if c.JSON && err == nil {
			return command.WriteJSON(w, append([]string{}, keys...))
		}
		for _, k := range keys {
			if q := strconv.Quote(k); q != `"`+k+`"` {
				k = q
			}
			if _, e := fmt.Fprintln(w, k); e != nil {
				return e
			}
		}
		return err
	})
}
