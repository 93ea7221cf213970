package hostile

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/connection/auth/tlsauth"
	"github.com/asyncmsgr/asyncmsgr/connection/frame"
)

// attackAddrs is how many addresses the attackers have, attackPause how long one waits
// before it comes back.
const (
	attackAddrs = 16
	attackPause = 200 * time.Millisecond
)

// attack is what the attackers are told, on standard input.
type attack struct {
	Server      string
	Secret      []byte
	Kind        string
	Connections int
	Seed        uint64
}

// attacked is what they answer to each line.
type attacked struct {
	Attempts, Open int64
	Error          string
}

// attacker is a process of attackers.
type attacker struct {
	server      netip.AddrPort
	kind        Kind
	self        *tlsauth.Auth
	clientHello frame.AuthRequest
	recorded    [][]byte
	victim      session
	held        net.Conn // the victim's own

	attempts, open atomic.Int64
}

// runAttackers is the process of the attackers: it attacks until its input ends.
func runAttackers(in io.Reader, out io.Writer) error {
	d, e := json.NewDecoder(in), json.NewEncoder(out)
	var o attack
	if err := d.Decode(&o); err != nil {
		return err
	}
	a, err := newAttacker(&o)
	if err != nil {
		return e.Encode(attacked{Error: err.Error()})
	}
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for i := range o.Connections {
		wg.Go(func() { a.run(ctx, i, rand.New(rand.NewPCG(o.Seed, uint64(i)))) })
	}
	for {
		now := attacked{Attempts: a.attempts.Load(), Open: a.open.Load()}
		var line string
		if e.Encode(now) != nil || d.Decode(&line) != nil {
			break
		}
	}
	stop()
	wg.Wait()
	if a.held != nil {
		a.held.Close()
	}
	return nil
}

func newAttacker(o *attack) (*attacker, error) {
	a := &attacker{}
	var err error
	if a.server, err = netip.ParseAddrPort(o.Server); err != nil {
		return nil, err
	}
	for _, k := range Kinds() {
		if k.Name == o.Kind {
			a.kind = k
		}
	}
	if a.kind.attack == nil {
		return nil, fmt.Errorf("no kind %q", o.Kind)
	}
	name := entity.AuthName{Type: entity.TypeClient, ID: "mallory"}
	if a.self, err = tlsauth.SharedSecret(name, o.Secret); err != nil {
		return nil, err
	}
	x := a.self.Client().NewExchange(entity.TypeClient, entity.TypeOSD)
	if c, ok := x.(io.Closer); ok {
		defer c.Close()
	}
	req, err := x.Request()
	if err != nil {
		return nil, err
	}
	a.clientHello = frame.AuthRequest{Method: req.Method, Modes: req.Modes, Payload: req.Payload}
	return a, a.meetVictim(o.Secret)
}

// meetVictim makes the session that others will claim, and records how it was made.
func (a *attacker) meetVictim(secret []byte) error {
	keys, err := tlsauth.SharedSecret(entity.AuthName{Type: entity.TypeClient, ID: "victim"}, secret)
	if err != nil {
		return err
	}
	c, err := a.dial(0)
	if err != nil {
		return err
	}
	addr := addrOf(c.LocalAddr())
	addr.Type, addr.Nonce = entity.AddrAny, 4711
	addr.AddrPort = netip.AddrPortFrom(addr.AddrPort.Addr(), 0)
	a.victim = session{gid: 4711, addrs: entity.AddrVec{addr}, cookies: [2]uint64{0x1234567}}
	s := newSpeaker(c)
	if err := s.login(keys, &a.victim); err != nil {
		c.Close()
		return fmt.Errorf("the victim cannot log in: %w", err)
	}
	a.held, a.recorded = c, s.said
	return nil
}

func (a *attacker) dial(i int) (net.Conn, error) {
	from := net.IPv4(127, 0, 1, byte(1+i%attackAddrs))
	d := net.Dialer{Timeout: 10 * time.Second, LocalAddr: &net.TCPAddr{IP: from}}
	c, err := d.Dial("tcp4", a.server.String())
	if err != nil {
		return nil, err
	}
	return c, c.(*net.TCPConn).SetLinger(0)
}

// run keeps one connection busy.
func (a *attacker) run(ctx context.Context, i int, rnd *rand.Rand) {
	for ctx.Err() == nil {
		a.attempts.Add(1)
		if c, err := a.dial(i); err == nil { // else there is no room in the kernel's queue
			a.open.Add(1)
			stop := context.AfterFunc(ctx, func() { c.Close() })
			a.kind.attack(a, c, rnd)
			stop()
			c.Close()
			a.open.Add(-1)
		}
		select {
		case <-ctx.Done():
		case <-time.After(attackPause/2 + time.Duration(rnd.Int64N(int64(attackPause)))):
		}
	}
}
