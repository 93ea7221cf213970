package resolve

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
)

// The bounds of SRVConfig.
const (
	SRVIntervalMin = 100 * time.Millisecond
	SRVIntervalMax = time.Hour
)

// DNS is what OpenSRV asks; *net.Resolver is one.
type DNS interface {
	LookupSRV(ctx context.Context, service, proto, name string) (cname string, addrs []*net.SRV, err error)
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// SRVConfig says what is asked; Domain is needed.
type SRVConfig struct {
	// Service, Proto and Domain make the name that is asked for, _service._proto.domain;
	// with Service and Proto empty it is Domain alone.
	Service, Proto, Domain string
	// Name makes the entity's name of a record's target; nil means TargetName.
	Name func(target string) (entity.Name, error)
	// Interval is how often it is asked; 0 means 5 s. The standard library does not tell
	// how long an answer may be kept (its TTL), so an answer is used for this long at most
	// before it is asked for again. SRVIntervalMin to SRVIntervalMax.
	Interval time.Duration
	// Timeout bounds one look, all of its questions together; 0 means 5 s.
	Timeout time.Duration
	// StaleAfter is for how long the last answer is given out by Resolve when nobody
	// answers any more: then it is ErrStale. Who watches keeps the last map. 0 means 5 min,
	// negative for ever.
	StaleAfter time.Duration
	// DNS, nil: net.DefaultResolver.
	DNS DNS
	// Logger; nil means slog.Default(): failures are said there once, until they change.
	Logger *slog.Logger
}

// SRV is a resolver that asks for DNS SRV records. Each record is an entity: its name comes
// from the target, its port from the record, its IP addresses from asking for the target.
// An answer counts as a whole: if a target has no address, or two are one entity or one
// address, the last good map stays. Epochs are counted here, one more for each change.
//
// One goroutine asks, until Close.
type SRV struct {
	Board
	cfg  SRVConfig
	stop context.CancelFunc
	done chan struct{}

	// The rest is the asking goroutine's.
	good time.Time // of the last good answer
	said string
}

// OpenSRV begins to ask. An error means that cfg makes no sense.
func OpenSRV(cfg SRVConfig) (*SRV, error) {
	cfg.Interval = cmp.Or(cfg.Interval, 5*time.Second)
	cfg.Timeout = cmp.Or(cfg.Timeout, 5*time.Second)
	cfg.StaleAfter = cmp.Or(cfg.StaleAfter, 5*time.Minute)
	cfg.Logger = cmp.Or(cfg.Logger, slog.Default())
	if cfg.Name == nil {
		cfg.Name = TargetName
	}
	if cfg.DNS == nil {
		cfg.DNS = net.DefaultResolver
	}
	switch {
	case cfg.Domain == "":
		return nil, errors.New("resolve: SRVConfig.Domain is empty")
	case cfg.Interval < SRVIntervalMin || cfg.Interval > SRVIntervalMax:
		return nil, fmt.Errorf("resolve: SRVConfig.Interval %v is not from %v to %v",
			cfg.Interval, SRVIntervalMin, SRVIntervalMax)
	case cfg.Timeout < 0:
		return nil, fmt.Errorf("resolve: SRVConfig.Timeout %v is less than 0", cfg.Timeout)
	}
	ctx, stop := context.WithCancel(context.Background())
	s := &SRV{cfg: cfg, stop: stop, done: make(chan struct{}), good: time.Now()}
	go s.run(ctx)
	return s, nil
}

// Close stops asking and ends what watches. It may be repeated.
func (s *SRV) Close() error {
	s.stop()
	<-s.done
	return s.Board.Close()
}

func (s *SRV) run(ctx context.Context) {
	defer close(s.done)
	tick := time.NewTicker(s.cfg.Interval)
	defer tick.Stop()
	for {
		s.ask(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// ask asks once.
func (s *SRV) ask(ctx context.Context) {
	entries, err := s.lookup(ctx)
	failed := err != nil
	if err == nil {
		err = publishNext(&s.Board, 0, entries)
	}
	now := time.Now()
	switch {
	case ctx.Err() != nil:
	case err == nil:
		s.good = now
		if s.said != "" {
			s.cfg.Logger.Info("resolve: DNS answers again", "domain", s.cfg.Domain)
		}
		s.said = ""
	default:
		s.count(func(st *Stats) {
			if failed {
				st.Failed++
			} else {
				st.Bad++
			}
		})
		s.Trouble(err, s.cfg.StaleAfter > 0 && now.Sub(s.good) > s.cfg.StaleAfter)
		if text := err.Error(); text != s.said {
			s.said = text
			s.cfg.Logger.Warn("resolve: no map from DNS: the last good one stays in force",
				"domain", s.cfg.Domain, "error", err)
		}
	}
}

// lookup asks for the records and for the addresses of their targets.
func (s *SRV) lookup(ctx context.Context) ([]Entry, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	_, records, err := s.cfg.DNS.LookupSRV(ctx, s.cfg.Service, s.cfg.Proto, s.cfg.Domain)
	if err != nil {
		return nil, err
	}
	if len(records) > EntriesMax {
		return nil, fmt.Errorf("%w: %d records, at most %d", ErrTooMany, len(records), EntriesMax)
	}
	entries := make([]Entry, 0, len(records))
	for _, r := range records {
		name, err := s.cfg.Name(r.Target)
		if err != nil {
			return nil, err
		}
		ips, err := s.cfg.DNS.LookupNetIP(ctx, "ip", r.Target)
		if err != nil {
			return nil, err
		}
		// The order of answers changes from one to the next, and means nothing.
		for i := range ips {
			ips[i] = ips[i].Unmap()
		}
		slices.SortFunc(ips, netip.Addr.Compare)
		ips = slices.Compact(ips)
		if len(ips) == 0 || len(ips) > entity.AddrVecMax {
			return nil, fmt.Errorf("%s has %d addresses; 1 to %d are possible", r.Target, len(ips), entity.AddrVecMax)
		}
		e := Entry{Name: name}
		for _, ip := range ips {
			e.Addrs = append(e.Addrs, entity.Addr{
				Type: entity.AddrMsgr2, AnyNonce: true, AddrPort: netip.AddrPortFrom(ip, r.Port)})
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// TargetName makes "osd.1" of "osd-1.anything", as the pods of a StatefulSet are called: the
// first label is a type of entity, a dash and a number.
func TargetName(target string) (entity.Name, error) {
	label, _, _ := strings.Cut(target, ".")
	i := strings.LastIndexByte(label, '-')
	if i < 0 {
		return entity.Name{}, fmt.Errorf("resolve: %q is not called as an entity: osd-1, for example", target)
	}
	n, err := entity.ParseName(label[:i] + "." + label[i+1:])
	if err != nil {
		return n, fmt.Errorf("resolve: %q is not called as an entity (osd-1, for example): %w", target, err)
	}
	return n, nil
}
