package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
	"unicode"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/denc"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

type pingCmd struct {
	Count    int           `help:"How many pings." default:"3"`
	Interval time.Duration `help:"Pause between the end of a ping and the next." default:"200ms"`
	Timeout  time.Duration `help:"How long to wait for the answer to one ping, reconnections included." default:"5s"`
	Type     string        `help:"Entity type of the peer (${enum}); any is not checked." enum:"mon,mds,osd,client,mgr,any" default:"mon"`
	Addr     string        `arg:"" name:"addr" help:"The peer's address, v2:HOST:PORT/NONCE; a monitor's nonce is 0."`
}

// Help is shown by msgr ping --help.
func (pingCmd) Help() string {
	return `Sends MPing to a ceph-mon, or to a messenger of this library whose dispatcher answers it,
and prints the answers and the round-trip times. N pings are N answers: when the
connection is cut, a new session is opened and the ping is sent again; its round trip
then counts from the first sending. The exit code is 1 if an answer is missing.`
}

// Run sends the pings.
func (c pingCmd) Run(w io.Writer) error {
	if c.Count < 1 || c.Interval < 0 || c.Timeout <= 0 {
		return usageError{errors.New("--count and --timeout must be positive, --interval not negative")}
	}
	peer, err := resolve(c.Addr)
	if err != nil {
		return usageError{err}
	}
	typ, err := entity.ParseType(c.Type)
	if err != nil {
		return usageError{err}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return c.run(ctx, w, peer, typ)
}

func (c pingCmd) run(ctx context.Context, w io.Writer, peer entity.Addr, typ entity.Type) (err error) {
	m, err := async.New(async.Config{Name: entity.Client(entity.NumNew)})
	if err != nil {
		return err
	}
	p := &pinger{m: m, typ: typ, peer: entity.AddrVec{peer}, answers: make(chan *msg.Message, 16), resets: make(chan pingReset, 16)}
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

	fmt.Fprintf(w, "ping %s %s\n", typ, peer)
	var sum pingSummary
	for n := 1; n <= c.Count; n++ {
		if n > 1 && !sleep(ctx, c.Interval) {
			break
		}
		began := time.Now()
		answer, err := p.ping(ctx, c.Timeout)
		sum.sent++
		if err != nil {
			fmt.Fprintf(w, "%d: no answer: %v\n", n, err)
			if ctx.Err() != nil {
				break
			}
			continue
		}
		rtt := time.Since(began)
		sum.add(rtt)
		printAnswer(w, n, answer, rtt, sum.answers == 1)
	}
	sum.print(w, p.reopened)
	if sum.answers < c.Count {
		return fmt.Errorf("%d of %d pings were not answered", c.Count-sum.answers, c.Count)
	}
	return nil
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
	refused  atomic.Pointer[error] // why the last attempt to connect failed
}

// pingReset is the end of a session.
type pingReset struct {
	conn   msg.Connection
	reason error
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
func (p *pinger) HandleReset(c msg.Connection, reason error) bool {
	select {
	case p.resets <- pingReset{c, reason}:
	default: // more ends than sessions: the one waited for is in the channel
	}
	return true
}

// HandleRefused notes that nobody listens; the messenger goes on trying.
func (p *pinger) HandleRefused(_ msg.Connection, err error) bool {
	p.refused.Store(&err)
	return true
}

// ping sends one ping until it is answered, over as many sessions as it takes.
func (p *pinger) ping(ctx context.Context, timeout time.Duration) (*msg.Message, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("nothing within %v", timeout))
	defer cancel()
	p.refused.Store(nil)
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
		if err == nil {
			answer, err := p.await(ctx)
			if answer != nil || err != nil {
				return answer, err
			}
		}
		// The session is over: the next one gets the ping.
		p.conn = nil
		p.reopened++
		if fresh && !sleep(ctx, 50*time.Millisecond) { // it ended at once: do not spin
			return nil, context.Cause(ctx)
		}
	}
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
			if r.conn == p.conn {
				return nil, nil
			}
		case <-ctx.Done():
			p.conn.MarkDown()
			p.conn = nil
			if refused := p.refused.Load(); refused != nil {
				return nil, fmt.Errorf("%w: %w", context.Cause(ctx), *refused)
			}
			return nil, context.Cause(ctx)
		}
	}
}

// resolve reads an address whose host may be a name.
func resolve(s string) (entity.Addr, error) {
	a, err := entity.ParseAddr(s)
	if err == nil {
		return a, nil
	}
	rest := strings.TrimPrefix(s, "v2:")
	hostport, nonce, _ := strings.Cut(rest, "/")
	host, port, splitErr := net.SplitHostPort(hostport)
	if splitErr != nil {
		return entity.Addr{}, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	ips, lookErr := net.DefaultResolver.LookupNetIP(ctx, "ip4", host)
	if lookErr != nil {
		return entity.Addr{}, lookErr
	}
	if nonce == "" {
		nonce = "0"
	}
	return entity.ParseAddr("v2:" + net.JoinHostPort(ips[0].Unmap().String(), port) + "/" + nonce)
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

// The lines of the first answer that are shown, and how much of each.
const (
	answerLinesMax = 8
	answerWidthMax = 100
)

func printAnswer(w io.Writer, n int, m *msg.Message, rtt time.Duration, full bool) {
	text := m.Front
	r := denc.NewReader(m.Front)
	if s := r.BL(); r.Err() == nil {
		text = s
	}
	fmt.Fprintf(w, "%d: %d bytes from %s in %s\n", n, len(text), m.Source(), millis(rtt))
	if !full {
		return
	}
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	for _, l := range lines[:min(len(lines), answerLinesMax)] {
		fmt.Fprintf(w, "   %s\n", printable(l))
	}
	if more := len(lines) - answerLinesMax; more > 0 {
		fmt.Fprintf(w, "   ... and %d more lines\n", more)
	}
}

// printable is a line from the network as a terminal may see it.
func printable(line []byte) string {
	text := []rune(strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '.'
	}, string(line)))
	return string(text[:min(len(text), answerWidthMax)])
}

func millis(d time.Duration) string {
	return fmt.Sprintf("%.3f ms", float64(d)/float64(time.Millisecond))
}

// pingSummary counts.
type pingSummary struct {
	sent, answers   int
	least, sum, top time.Duration
}

func (s *pingSummary) add(d time.Duration) {
	if s.answers == 0 || d < s.least {
		s.least = d
	}
	s.answers++
	s.sum += d
	s.top = max(s.top, d)
}

func (s *pingSummary) print(w io.Writer, reopened int) {
	fmt.Fprintf(w, "%d pings, %d answers, %d sessions opened anew", s.sent, s.answers, reopened)
	if s.answers > 0 {
		fmt.Fprintf(w, "; round trip min/avg/max %s / %s / %s", millis(s.least), millis(s.sum/time.Duration(s.answers)), millis(s.top))
	}
	fmt.Fprintln(w)
}
