package admin

import (
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/connection"
)

// option is a setting: how to show it, and how to change it, if that can be while the
// process runs. Those that Ceph has bear its names, and its units: seconds, bytes.
type option struct {
	name string
	show func(d *desk, s *async.Settings, m named) string
	set  func(d *desk, m named, to string) error // nil: it cannot be changed
	// once: it is the process's, and set once, not for each messenger.
	once bool
}

func secondsOf(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', 6, 64) }

// aDuration reads seconds, or a duration as Go writes it.
func aDuration(s string) (time.Duration, error) {
	if d, err := time.ParseDuration(s); err == nil {
		return d, nil
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || f != f || f > 1e9 || f < -1e9 {
		return 0, fmt.Errorf("%s is no number of seconds", quoted(s))
	}
	return time.Duration(f * float64(time.Second)), nil
}

func aNumber(s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s is no number", quoted(s))
	}
	return n, nil
}

func fixed[T any](name string, of func(s *async.Settings) T) option {
	return option{name: name, show: func(_ *desk, s *async.Settings, _ named) string {
		switch v := any(of(s)).(type) {
		case time.Duration:
			return secondsOf(v)
		default:
			return fmt.Sprint(v)
		}
	}}
}

// options are all settings, in the order of their names.
var options = func() []option {
	all := []option{
		{
			name: "ms_dispatch_throttle_bytes",
			show: func(_ *desk, s *async.Settings, _ named) string { return fmt.Sprint(s.DispatchThrottleBytes) },
			set: func(_ *desk, m named, to string) error {
				n, err := aNumber(to)
				if err != nil {
					return err
				}
				return m.SetDispatchThrottleBytes(n)
			},
		},
		{
			name: "keepalive_interval",
			show: func(_ *desk, s *async.Settings, _ named) string { return secondsOf(s.KeepaliveInterval) },
			set: func(_ *desk, m named, to string) error {
				d, err := aDuration(to)
				if err != nil {
					return err
				}
				return m.SetKeepalive(d, orForever(m.Settings().KeepaliveTimeout))
			},
		},
		{
			name: "keepalive_timeout",
			show: func(_ *desk, s *async.Settings, _ named) string { return secondsOf(s.KeepaliveTimeout) },
			set: func(_ *desk, m named, to string) error {
				d, err := aDuration(to)
				if err != nil {
					return err
				}
				return m.SetKeepalive(m.Settings().KeepaliveInterval, orForever(d))
			},
		},
		{
			name: "log_level", once: true,
			show: func(d *desk, _ *async.Settings, _ named) string {
				if d.cfg.Level == nil {
					return ""
				}
				return strings.ToLower(d.cfg.Level.Level().String())
			},
			set: func(d *desk, _ named, to string) error {
				var l slog.Level
				if d.cfg.Level == nil {
					return &Error{syscallEPERM, "this program's log has no level that can be changed"}
				}
				if err := l.UnmarshalText([]byte(to)); err != nil {
					return fmt.Errorf("%s is no level: debug, info, warn, error", quoted(to))
				}
				d.cfg.Level.Set(l)
				return nil
			},
		},
		fixed("ms_connection_ready_timeout", func(s *async.Settings) time.Duration { return s.ReadyTimeout }),
		fixed("ms_connection_idle_timeout", func(s *async.Settings) time.Duration { return s.IdleTimeout }),
		fixed("ms_initial_backoff", func(s *async.Settings) time.Duration { return s.InitialBackoff }),
		fixed("ms_max_backoff", func(s *async.Settings) time.Duration { return s.MaxBackoff }),
		fixed("ms_async_op_threads", func(s *async.Settings) int { return s.Workers }),
		fixed("ms_bind_port_min", func(s *async.Settings) uint16 { return s.BindPortMin }),
		fixed("ms_bind_port_max", func(s *async.Settings) uint16 { return s.BindPortMax }),
		fixed("ms_tcp_listen_backlog", func(s *async.Settings) int { return s.ListenBacklog }),
		fixed("ms_tcp_rcvbuf", func(s *async.Settings) int { return s.RecvBuffer }),
		fixed("standby_timeout", func(s *async.Settings) time.Duration { return s.StandbyTimeout }),
		fixed("standby_max", func(s *async.Settings) int { return s.StandbyMax }),
		fixed("ack_delay", func(s *async.Settings) time.Duration { return s.AckDelay }),
		fixed("dial_timeout", func(s *async.Settings) time.Duration { return s.DialTimeout }),
		fixed("dispatch_limit", func(s *async.Settings) time.Duration { return s.DispatchLimit }),
		fixed("fast_dispatch_limit", func(s *async.Settings) time.Duration { return s.FastDispatchLimit }),
		fixed("dispatch_width", func(s *async.Settings) int { return s.DispatchWidth }),
		fixed("dispatch_width_max", func(s *async.Settings) int { return s.DispatchWidthMax }),
		fixed("send_queue_messages", func(s *async.Settings) int { return s.SendQueueMessages }),
		fixed("send_queue_bytes", func(s *async.Settings) int64 { return s.SendQueueBytes }),
		fixed("send_total_bytes", func(s *async.Settings) int64 { return s.SendTotalBytes }),
		fixed("send_high_water", func(s *async.Settings) int64 { return s.SendHighWater }),
		fixed("handshakes_max", func(s *async.Settings) int { return s.HandshakesMax }),
		fixed("handshakes_max_per_host", func(s *async.Settings) int { return s.HandshakesMaxPerHost }),
		fixed("events_max", func(s *async.Settings) int { return s.EventsMax }),
		fixed("ms_compression_algorithm", func(s *async.Settings) string { return s.CompressionAlgorithms }),
		fixed("ms_compress_min_size", func(s *async.Settings) int { return s.CompressionMinSize }),
		fixed("ms_compress_secure", func(s *async.Settings) bool { return s.CompressionWithSecure }),
		fixed("faults_allowed", func(s *async.Settings) bool { return s.FaultsAllowed }),
	}
	all = append(all, throttleOptions()...)
	all = append(all, faultOptions()...)
	slices.SortFunc(all, func(a, b option) int { return strings.Compare(a.name, b.name) })
	return all
}()

// orForever is a KeepaliveTimeout for SetKeepalive, to which 0 would mean the default.
func orForever(d time.Duration) time.Duration {
	if d == 0 {
		return -1
	}
	return d
}

// peerTypes are those that options are there for.
var peerTypes = []entity.Type{entity.TypeMon, entity.TypeMDS, entity.TypeOSD, entity.TypeClient, entity.TypeMgr}

// throttleOptions are the throttles of policies.
func throttleOptions() (all []option) {
	for _, t := range peerTypes {
		for _, bytes := range []bool{false, true} {
			name := "throttle_" + t.String() + "_messages"
			if bytes {
				name = "throttle_" + t.String() + "_bytes"
			}
			all = append(all, option{
				name: name,
				show: func(_ *desk, _ *async.Settings, m named) string {
					if limit, ok := m.PolicyThrottle(t, bytes); ok {
						return fmt.Sprint(limit)
					}
					return "none"
				},
				set: func(_ *desk, m named, to string) error {
					n, err := aNumber(to)
					if err != nil {
						return err
					}
					return m.SetPolicyThrottle(t, bytes, n)
				},
			})
		}
	}
	return all
}

// faultOption is one that breaks connections on purpose.
func faultOption(name string, show func(x *connection.Injected) string,
	set func(x *connection.Injected, to string) error) option {
	return option{
		name: name,
		show: func(_ *desk, _ *async.Settings, m named) string {
			x := connection.Injected{}
			if f := m.Faults(); f != nil {
				x = f.Look()
			}
			return show(&x)
		},
		set: func(_ *desk, m named, to string) error {
			f := m.Faults()
			if f == nil {
				return &Error{syscallEPERM, m.name + " allows no faults (async.Config.AllowFaults)"}
			}
			x := f.Look()
			if err := set(&x, to); err != nil {
				return err
			}
			return f.Set(x)
		},
	}
}

func faultOptions() []option {
	number := func(p *uint64, to string) (err error) {
		if *p, err = strconv.ParseUint(to, 10, 64); err != nil {
			return fmt.Errorf("%s is no number", quoted(to))
		}
		return nil
	}
	all := []option{
		faultOption("ms_inject_socket_failures",
			func(x *connection.Injected) string { return fmt.Sprint(x.SocketFailures) },
			func(x *connection.Injected, to string) error { return number(&x.SocketFailures, to) }),
		faultOption("ms_inject_network_congestion",
			func(x *connection.Injected) string { return fmt.Sprint(x.Congestion) },
			func(x *connection.Injected, to string) error { return number(&x.Congestion, to) }),
		faultOption("ms_inject_delay_type",
			func(x *connection.Injected) string { return typeNames(x.DelayTypes) },
			func(x *connection.Injected, to string) (err error) { x.DelayTypes, err = typesNamed(to); return err }),
		faultOption("ms_inject_delay_msg_type",
			func(x *connection.Injected) string { return fmt.Sprint(x.DelayMessages) },
			func(x *connection.Injected, to string) error {
				n, err := strconv.ParseUint(to, 10, 16)
				if err != nil {
					return fmt.Errorf("%s is no type of messages", quoted(to))
				}
				x.DelayMessages = uint16(n)
				return nil
			}),
		faultOption("ms_inject_delay_probability",
			func(x *connection.Injected) string { return fmt.Sprint(x.DelayProbability) },
			func(x *connection.Injected, to string) (err error) {
				if x.DelayProbability, err = strconv.ParseFloat(to, 64); err != nil {
					return fmt.Errorf("%s is no probability", quoted(to))
				}
				return nil
			}),
		faultOption("ms_inject_delay_max",
			func(x *connection.Injected) string { return secondsOf(x.DelayMax) },
			func(x *connection.Injected, to string) (err error) { x.DelayMax, err = aDuration(to); return err }),
	}
	for _, t := range peerTypes {
		all = append(all, faultOption("ms_blackhole_"+t.String(),
			func(x *connection.Injected) string { return strconv.FormatBool(slices.Contains(x.Blackhole, t)) },
			func(x *connection.Injected, to string) error {
				on, err := strconv.ParseBool(to)
				if err != nil {
					return fmt.Errorf("%s is neither true nor false", quoted(to))
				}
				x.Blackhole = slices.DeleteFunc(x.Blackhole, func(y entity.Type) bool { return y == t })
				if on {
					x.Blackhole = append(x.Blackhole, t)
				}
				return nil
			}))
	}
	return all
}

func typeNames(types []entity.Type) string {
	var names []string
	for _, t := range types {
		names = append(names, t.String())
	}
	return strings.Join(names, " ")
}

// typesNamed are those of "osd mon"; commas are as good.
func typesNamed(s string) (types []entity.Type, err error) {
	for _, name := range strings.FieldsFunc(s, func(r rune) bool { return r == ' ' || r == ',' }) {
		i := slices.IndexFunc(peerTypes, func(t entity.Type) bool { return t.String() == name })
		if i < 0 {
			return nil, fmt.Errorf("%s is no type of peers: mon, mds, osd, client, mgr", quoted(name))
		}
		types = append(types, peerTypes[i])
	}
	return types, nil
}

func (d *desk) find(name string) (*option, error) {
	i := slices.IndexFunc(options, func(o option) bool { return o.name == name })
	if i < 0 {
		return nil, &Error{syscallENOENT, fmt.Sprintf("no setting %s", quoted(name))}
	}
	return &options[i], nil
}

// one is the messenger whose settings are shown: the first, unless another one is named.
func (d *desk) one(args Args) (named, error) {
	chosen, err := d.chosen(args.Get("messenger"))
	if err == nil && len(chosen) == 0 {
		err = &Error{syscallENOENT, "no messenger"}
	}
	if err != nil {
		return named{}, err
	}
	return chosen[0], nil
}

func (d *desk) configShow(args Args) (any, error) {
	m, err := d.one(args)
	if err != nil {
		return nil, err
	}
	all := map[string]string{"name": m.name}
	if d.cfg.Path != "" {
		all["admin_socket"] = d.cfg.Path
	}
	s := m.Settings()
	for _, o := range options {
		all[o.name] = o.show(d, &s, m)
	}
	return all, nil
}

func (d *desk) configGet(args Args) (any, error) {
	m, err := d.one(args)
	if err != nil {
		return nil, err
	}
	o, err := d.find(args.Get("var"))
	if err != nil {
		return nil, err
	}
	s := m.Settings()
	return map[string]string{o.name: o.show(d, &s, m)}, nil
}

// configSet sets it for all messengers; at the first that refuses it ends.
func (d *desk) configSet(args Args) (any, error) {
	o, err := d.find(args.Get("var"))
	if err != nil {
		return nil, err
	}
	to := strings.Join(args["val"], " ")
	if o.set == nil {
		return nil, &Error{syscallEPERM, o.name + " cannot be changed while the process runs"}
	}
	those := d.messengers
	switch {
	case o.once:
		those = []named{{name: "this program"}}
	case len(those) == 0:
		return nil, &Error{syscallENOENT, "no messenger"}
	}
	for _, m := range those {
		if err := o.set(d, m, to); err != nil {
			return nil, fmt.Errorf("error setting %s to %s for %s: %w", o.name, quoted(to), m.name, err)
		}
	}
	d.cfg.Logger.Info("admin: a setting was changed", "setting", o.name, "to", to)
	return map[string]string{"success": fmt.Sprintf("%s = '%s'", o.name, to)}, nil
}
