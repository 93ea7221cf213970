package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/bench/internal/command"
)

type pingCmd struct {
	Count      int           `help:"How many pings." default:"3"`
	Interval   time.Duration `help:"Pause between the end of a ping and the next." default:"200ms"`
	Timeout    time.Duration `help:"How long to wait for the answer to one ping, reconnections included." default:"5s"`
	Type       string        `help:"Entity type of the peer (${enum}); any is not checked." enum:"mon,mds,osd,client,mgr,any" default:"mon"`
	Cert       string        `help:"This end's certificate, such as client.admin.pem: the connection is encrypted, and both ends prove their names." placeholder:"FILE"`
	Key        string        `help:"The private key of --cert." placeholder:"FILE"`
	CA         string        `name:"ca" help:"The authorities whose certificates are accepted, such as ca.pem." placeholder:"FILE"`
	SecretFile string        `help:"A file whose bytes are the secret that messengers share, instead of certificates." placeholder:"FILE"`
	Auth       string        `help:"The method (${enum}); auto is that of the keys that are given, and none without." enum:"auto,none,cephx,tls" default:"auto"`
	Keyring    string        `help:"A keyring of Ceph's, with the key for cephx." placeholder:"FILE"`
	Mode       string        `help:"Take no other mode (${enum}); any is what the peer prefers." enum:"any,crc,secure" default:"any"`
	Name       string        `help:"Who to be with --secret-file or --keyring; default: client.msgr, client.admin." placeholder:"NAME"`
	JSON       bool          `name:"json" help:"Print one JSON object a line: one for each ping, then a summary."`
	Addr       string        `arg:"" name:"addr" help:"The peer's address, v2:HOST:PORT/NONCE; a monitor's port is 3300, its nonce 0. v2: and /NONCE may be left out."`
}

// Help is shown by msgr ping --help.
func (pingCmd) Help() string {
	return `Sends MPing to a ceph-mon, or to a messenger of this library whose dispatcher answers it,
and prints the answers and the round-trip times. N pings are N answers: when the
connection is cut, a new session is opened and the ping is sent again; its round trip
then counts from the first sending.

Without keys authentication is AUTH_NONE, which a messenger that has keys refuses. With
--cert, --key and --ca, which msgr cert makes, or --secret-file, it is TLS in secure mode;
before the first answer a line says so, with the name in the peer's certificate and when
that expires. Who has a shared secret can have any name. A secret is all bytes of its
file, a line break at its end too.

With --keyring it is cephx, as Ceph's own clients have it, at a monitor: the keyring is
the file with "key = ..." in a section such as [client.admin]. --mode secure does not take
an unencrypted connection, whatever the monitor prefers.

HOST is an IP address, an IPv6 one in brackets, or a name. Of a name's addresses the
first one that takes connections is pinged, in the system's order of preference.

With --json each line is an object. For a ping:

  {"event":"ping","n":1,"ok":true,"rtt_ms":0.41,"from":"mon.0","bytes":21,"method":"tls",
   "mode":"secure","peer":"mon.0","expires":"2030-01-02T03:04:05Z","answer":"..."}
  {"event":"ping","n":2,"ok":false,"error":"nothing within 5s: ... none refused with -13",
   "reason":"authentication refused","state":"AUTH_CONNECTING","attempt":1,"hint":"...",
   "allowed_methods":["cephx"],"allowed_modes":["secure"]}

answer is there for the first answered ping only, up to 64 KiB of it; peer and expires
are those of the peer's certificate, which there is with TLS only; reason and what follows if it is known why there is
no session, the allowed ones if the peer said them.
At the end:

  {"event":"summary","addr":"v2:10.0.0.1:3300/0","type":"mon","pings":3,"answers":2,
   "sessions_reopened":0,"rtt_min_ms":0.41,"rtt_avg_ms":0.41,"rtt_max_ms":0.41,
   "error":"1 of 3 pings were not answered"}

The rtt fields are missing without an answer, error is missing if all is well, and
"interrupted":true is there if a signal ended it. What is wrong with the address, the
flags or their files is the error of a summary too. Times are milliseconds.

Examples:
  msgr ping v2:10.0.0.1:3300/0
  msgr ping --keyring=client.admin.keyring v2:10.0.0.1:3300/0
  msgr ping --type=osd --secret-file=cluster.secret 10.0.0.7:7001
  msgr ping --count=10 --interval=200ms --json v2:10.0.0.1:3300/0

The exit code is 1 if an answer is missing, 2 if the address, a flag or its file makes no
sense, 130 or 143 if it was interrupted; a ping under way does not count then.`
}

// Run sends the pings.
func (c pingCmd) Run(w io.Writer) error {
	ctx, stop := command.Interruptible()
	defer stop()
	out := pingOutput{w: w, json: c.JSON, shared: c.SecretFile != ""}
	peer, typ, err := c.target(ctx)
	var keys *pingKeys
	if err == nil {
		keys, err = c.keys()
	}
	if err != nil {
		sum := pingSummary{Addr: c.Addr, Type: c.Type, Error: command.OneLine(err)}
		err = command.Usage(err)
		if end := command.Interrupted(ctx); end != nil {
			err, sum.Interrupted, sum.Error = end, true, end.Error()
		}
		return errors.Join(err, out.summary(&sum))
	}
	sum := pingSummary{Addr: peer.String(), Type: typ.String()}
	err = c.run(ctx, &out, keys, peer, typ, &sum)
	if err != nil {
		sum.Error = command.OneLine(err)
	}
	return errors.Join(err, out.summary(&sum))
}

// target understands the flags.
func (c pingCmd) target(ctx context.Context) (peer entity.Addr, typ entity.Type, err error) {
	if c.Count < 1 || c.Interval < 0 || c.Timeout <= 0 {
		return peer, typ, errors.New("--count and --timeout must be positive, --interval not negative")
	}
	if typ, err = entity.ParseType(c.Type); err != nil {
		return peer, typ, err
	}
	peer, err = systemResolver.resolve(ctx, c.Addr)
	return peer, typ, err
}

func (c pingCmd) run(
	ctx context.Context, out *pingOutput, keys *pingKeys, peer entity.Addr, typ entity.Type, sum *pingSummary,
) (err error) {
	// The log is discarded: what goes wrong is in the output.
	cfg := async.Config{Name: entity.Client(entity.NumNew), Logger: slog.New(slog.DiscardHandler)}
	keys.use(&cfg)
	m, err := async.New(cfg)
	if err != nil {
		return err
	}
	p := &pinger{m: m, typ: typ, peer: entity.AddrVec{peer}, answers: make(chan *msg.Message, 16),
		resets: make(chan pingReset, 16)}
	m.SetDefaultPolicy(msg.LossyClient())
	m.AddDispatcherTail(p)
	if err := m.Start(); err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		err = errors.Join(err, m.Shutdown(ctx))
	}()

	out.begin(typ, peer)
	defer func() { sum.Reopened = p.reopened }()
	for n := 1; n <= c.Count && (n == 1 || sleep(ctx, c.Interval)); n++ {
		began := time.Now()
		answer, err := p.ping(ctx, c.Timeout)
		if ctx.Err() != nil {
			break // whether it would have been answered nobody knows
		}
		sum.Pings++
		if err != nil {
			err = out.missing(n, err)
		} else {
			rtt := time.Since(began)
			sum.add(rtt)
			err = out.answer(n, answer, rtt, sum.Answers == 1)
		}
		if err != nil {
			return err
		}
	}
	end := command.Interrupted(ctx)
	sum.Interrupted = end != nil
	wanted := c.Count
	if sum.Interrupted {
		wanted = sum.Pings
	}
	if missing := wanted - sum.Answers; missing > 0 {
		end = errors.Join(end, fmt.Errorf("%d of %d pings were not answered", missing, wanted))
	}
	return end
}

// pinger keeps one session with the peer and one ping under way.
type pinger struct {
	m        *async.Messenger
	typ      entity.Type
	peer     entity.AddrVec
	conn     msg.Connection // nil: to be opened
	reopened int
	answers  chan *msg.Message
	resets   chan pingReset
	failed   atomic.Pointer[msg.ConnectError] // why the last attempt failed
}

// pingReset is the end of a session, or of all hope for one.
type pingReset struct {
	conn     msg.Connection
	hopeless *msg.ConnectError
}

// Dispatch hands answers to ping; what else a peer sends is not asked for.
func (p *pinger) Dispatch(m *msg.Message) bool {
	if m.Type == msg.TypePing {
		select {
		case p.answers <- m:
		default: // nobody waits for so many
		}
	}
	return true
}

// HandleReset hands the end of a session to ping.
func (p *pinger) HandleReset(c msg.Connection, _ error) bool {
	p.over(pingReset{conn: c})
	return true
}

// HandleConnectFailed notes why an attempt to connect failed. The messenger goes on trying;
// ping does not, if what answered will not be another one in a moment.
func (p *pinger) HandleConnectFailed(c msg.Connection, err *msg.ConnectError) {
	p.failed.Store(err)
	switch err.Reason {
	case msg.ReasonNotMsgr, msg.ReasonVersion, msg.ReasonWrongPeer, msg.ReasonAuth, msg.ReasonFeatures, msg.ReasonLimit:
		p.over(pingReset{c, err})
	}
}

func (p *pinger) over(r pingReset) {
	select {
	case p.resets <- r:
	default: // more ends than sessions: the one waited for is in the channel
	}
}

// ping sends one ping until it is answered, over as many sessions as it takes.
func (p *pinger) ping(ctx context.Context, timeout time.Duration) (*msg.Message, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("nothing within %v", timeout))
	defer cancel()
	p.failed.Store(nil)
	fresh := false
	for {
		if p.conn == nil {
			conn, err := p.m.ConnectTo(p.typ, p.peer)
			if err != nil {
				return nil, err
			}
			p.conn, fresh = conn, true
		}
		err := p.conn.Send(&msg.Message{Type: msg.TypePing, Version: 1})
		if err != nil && !errors.Is(err, msg.ErrClosed) {
			return nil, err
		}
		// Closed before it was sent to: the reason is on its way here.
		answer, err := p.await(ctx)
		if answer != nil || err != nil {
			return answer, err
		}
		// The session is over: the next one gets the ping.
		p.conn = nil
		p.reopened++
		if fresh && !sleep(ctx, 50*time.Millisecond) { // it ended at once: do not spin
			return nil, p.explain(context.Cause(ctx))
		}
	}
}

// explain adds to the error of a ping why there is no session, as far as is known.
func (p *pinger) explain(err error) error {
	if failed := p.failed.Load(); failed != nil {
		return fmt.Errorf("%w: %w", err, failed)
	}
	return err
}

// await returns the answer of the present session, or nil at its end. When ctx
// ends the session is given up, so that a late answer is not taken for the next.
func (p *pinger) await(ctx context.Context) (*msg.Message, error) {
	for {
		select {
		case a := <-p.answers:
			if a.Connection() == p.conn {
				return a, nil
			}
		case r := <-p.resets:
			switch {
			case r.conn != p.conn:
			case r.hopeless != nil:
				p.conn.MarkDown()
				p.conn = nil
				return nil, r.hopeless
			default:
				return nil, nil
			}
		case <-ctx.Done():
			p.conn.MarkDown()
			p.conn = nil
			return nil, p.explain(context.Cause(ctx))
		}
	}
}

// sleep waits for d; it says whether ctx lasted as long.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
