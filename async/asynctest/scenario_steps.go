package asynctest

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/connection/frame"
	"github.com/asyncmsgr/asyncmsgr/eventloop/simnet"
)

type stepParser = func(p *scenarioParser) (func(*scenarioRun) error, error)

// scenarioVerbs are the steps. It is filled by init because the steps refer to it.
var scenarioVerbs map[string]stepParser

func init() {
	scenarioVerbs = map[string]stepParser{
		"node": parseNode, "nodes": parseNodes, "links": parseLinks, "link": parseLink, "send": parseSend,
		"cut": parseCut, "partition": parsePartition, "expect": parseExpect, "until": parseUntil,
		"check": parseCheck, "run": parseRun, "at": parseAt, "busy": parseBusy, "clock": parseClock,
		"traffic": parseTraffic, "faults": parseFaults,
		"connect": pairStep(func(r *scenarioRun, a, b int) error {
			r.c.Connect(a, b)
			return nil
		}),
		"oneway": pairStep(func(r *scenarioRun, a, b int) error {
			r.c.Add("oneway", simnet.OneWay(r.host(a), r.host(b)))
			return nil
		}),
		"mark_down": pairStep(func(r *scenarioRun, a, b int) error {
			r.c.MarkDown(a, b)
			return nil
		}),
		"keepalive": pairStep(func(r *scenarioRun, a, b int) error {
			if conn := r.conn(a, b); conn != nil {
				conn.SendKeepalive()
				return nil
			}
			return fmt.Errorf("no connection")
		}),
		"fault": pairStep(func(r *scenarioRun, a, b int) error {
			conn, ok := r.conn(a, b).(interface{ Fault(error) })
			if !ok {
				return fmt.Errorf("no connection")
			}
			r.c.disturb(2)
			conn.Fault(ErrPlanned)
			return nil
		}),
		"stall": pairStep(func(r *scenarioRun, a, b int) error {
			k := [2]int{a, b}
			r.holds[k] = append(r.holds[k], r.c.Add(fmt.Sprintf("stall %d %d", a, b), r.between(a, b)))
			return nil
		}),
		"release": pairStep(func(r *scenarioRun, a, b int) error {
			for _, k := range [][2]int{{a, b}, {b, a}} {
				for _, f := range r.holds[k] {
					f.Lift()
				}
				delete(r.holds, k)
			}
			return nil
		}),
		"hold":  parseHold,
		"reset": parseReset,
		"stick": nodeStep(func(r *scenarioRun, a int) error { r.c.Stick(a); return nil }),
		"free":  nodeStep(func(r *scenarioRun, a int) error { r.c.Free(a); return nil }),
		"refuse": nodeStep(func(r *scenarioRun, a int) error {
			r.c.Add("refuse", simnet.RefuseDials(r.c.Nodes[a].Addrs()[0].AddrPort))
			return nil
		}),
		"crash":  nodeStep(func(r *scenarioRun, a int) error { return r.stop(a, r.c.Crash) }),
		"kill":   nodeStep(func(r *scenarioRun, a int) error { return r.stop(a, r.c.Kill) }),
		"pause":  nodeStep(func(r *scenarioRun, a int) error { return r.pause(a) }),
		"resume": nodeStep(func(r *scenarioRun, a int) error { r.c.Nodes[a].Host.Resume(); return nil }),
		"restart": nodeStep(func(r *scenarioRun, a int) error {
			if !r.c.Nodes[a].Down {
				return fmt.Errorf("it runs")
			}
			r.c.Restart(a)
			return nil
		}),
		"print": nodeStep(func(r *scenarioRun, a int) error {
			s := r.c.Nodes[a].Stats()
			r.logf("%s: received %d, faults %d, connected %d, accepted %d, replayed %d",
				r.name(a), s.Received, s.Faults, s.Connected, s.Accepted, s.Replayed)
			return nil
		}),
		"heal": func(p *scenarioParser) (func(*scenarioRun) error, error) {
			return func(r *scenarioRun) error {
				r.faults.end()
				r.c.Healed()
				return nil
			}, nil
		},
	}
	for verb, parse := range scenarioVerbs {
		if verb != "node" && verb != "nodes" && verb != "links" {
			scenarioVerbs[verb] = func(p *scenarioParser) (func(*scenarioRun) error, error) {
				p.begun = true
				return parse(p)
			}
		}
	}
}

func pairStep(do func(r *scenarioRun, a, b int) error) stepParser {
	return func(p *scenarioParser) (func(*scenarioRun) error, error) {
		a, b, err := p.two()
		return func(r *scenarioRun) error { return do(r, a, b) }, err
	}
}

func nodeStep(do func(r *scenarioRun, a int) error) stepParser {
	return func(p *scenarioParser) (func(*scenarioRun) error, error) {
		a, err := p.node()
		return func(r *scenarioRun) error { return do(r, a) }, err
	}
}

func parseBusy(p *scenarioParser) (func(*scenarioRun) error, error) {
	a, b, err := p.two()
	if err != nil {
		return nil, err
	}
	w, err := p.next("a duration")
	if err != nil {
		return nil, err
	}
	d, err := w.duration()
	return func(r *scenarioRun) error { r.busy[[2]int{a, b}] = d; return nil }, err
}

// What a scenario may do to a clock; drift is bounded by simnet.Host.SetClock.
const (
	skewMax  = 100 * 365 * 24 * time.Hour
	driftMin = -900 * time.Millisecond
	driftMax = 9 * time.Second
)

func parseClock(p *scenarioParser) (func(*scenarioRun) error, error) {
	a, err := p.node()
	if err != nil {
		return nil, err
	}
	var drift, skew time.Duration
	err = p.options(map[string]func(word) error{
		"drift": differenceOption(&drift, driftMin, driftMax), "skew": differenceOption(&skew, -skewMax, skewMax),
	})
	return func(r *scenarioRun) error { r.c.Nodes[a].Host.SetClock(skew, drift); return nil }, err
}

// bandwidthMax is the fastest link, in bytes a second, as an int holds it.
const bandwidthMax = int(min(int64(1)<<40, math.MaxInt))

func parseLink(p *scenarioParser) (func(*scenarioRun) error, error) {
	a, b, err := p.two()
	if err != nil {
		return nil, err
	}
	latency, bandwidth := 200*time.Microsecond, 0
	err = p.options(map[string]func(word) error{"latency": durationOption(&latency),
		"bandwidth": intOption(&bandwidth, 1, bandwidthMax)})
	return func(r *scenarioRun) error {
		cfg := simnet.LinkConfig{Latency: simnet.Fixed(latency), Bandwidth: float64(bandwidth)}
		r.c.Net.SetLink(r.host(a), r.host(b), cfg)
		r.c.Net.SetLink(r.host(b), r.host(a), cfg)
		return nil
	}, err
}

func parseSend(p *scenarioParser) (func(*scenarioRun) error, error) {
	a, b, err := p.two()
	if err != nil {
		return nil, err
	}
	n := 1
	if len(p.words) > 0 && !strings.Contains(p.words[0].text, "=") {
		if n, err = p.number("how many"); err != nil {
			return nil, err
		}
	}
	size, prio := 100, 0
	err = p.options(map[string]func(word) error{"size": intOption(&size, 0, 64<<20), "prio": intOption(&prio, 1, 255)})
	return func(r *scenarioRun) error { return r.send(a, b, n, size, uint8(prio)) }, err
}

func parseCut(p *scenarioParser) (func(*scenarioRun) error, error) {
	a, err := p.node()
	if err != nil {
		return nil, err
	}
	if len(p.words) == 0 {
		return func(r *scenarioRun) error { r.c.Cut(a); return nil }, nil
	}
	b, err := p.node()
	if err != nil {
		return nil, err
	}
	if len(p.words) == 0 {
		return func(r *scenarioRun) error {
			r.c.Sever(a, b)
			return nil
		}, nil
	}
	if at := p.words[0]; at.text != "at" {
		return nil, at.errorf("cut: at is missing")
	}
	p.words = p.words[1:]
	n, err := p.number("a byte")
	return func(r *scenarioRun) error {
		r.c.Add("cut", simnet.Once(func(pk *simnet.Packet) simnet.Verdict {
			if pk.Kind != simnet.Data || pk.From != r.host(a) || pk.To != r.host(b) ||
				pk.Offset > int64(n) || pk.Offset+int64(len(pk.Data)) <= int64(n) {
				return simnet.Pass()
			}
			return simnet.Cut(n - int(pk.Offset))
		}))
		return nil
	}, err
}

func parsePartition(p *scenarioParser) (func(*scenarioRun) error, error) {
	a, err := p.group()
	if err != nil {
		return nil, err
	}
	if len(p.words) == 0 {
		return nil, p.end.errorf("partition: | and another group are missing")
	}
	p.words = p.words[1:]
	b, err := p.group()
	return func(r *scenarioRun) error { r.c.Partition(a, b); return nil }, err
}

func parseCheck(p *scenarioParser) (func(*scenarioRun) error, error) {
	what := "promises"
	pos := p.end
	if len(p.words) > 0 {
		pos, _ = p.next("")
		what = pos.text
	}
	check := map[string]func(*Cluster){
		"promises": (*Cluster).CheckPromises, "exactly_once": (*Cluster).CheckExactlyOnce,
		"prefix": (*Cluster).CheckPrefix, "nothing_held": (*Cluster).CheckNothingHeld,
	}[what]
	if check == nil {
		return nil, pos.errorf("unknown check %q", what)
	}
	return func(r *scenarioRun) error { check(r.c); return nil }, nil
}

// tag reads the name of a frame.
func (p *scenarioParser) tag() (frame.Tag, error) {
	w, err := p.next("a frame")
	if err != nil {
		return 0, err
	}
	for t := range 256 {
		if tag := frame.Tag(t); tag.Known() && tag.String() == w.text {
			return tag, nil
		}
	}
	return 0, w.errorf("unknown frame %q", w.text)
}

func parseHold(p *scenarioParser) (func(*scenarioRun) error, error) {
	a, b, err := p.two()
	if err != nil {
		return nil, err
	}
	tag, err := p.tag()
	return func(r *scenarioRun) error {
		var held uint64
		var fromDialer bool
		f := r.c.Add("hold", func(pk *simnet.Packet) simnet.Verdict {
			if pk.From != r.host(a) || pk.To != r.host(b) {
				return simnet.Pass()
			}
			if held == 0 && pk.Kind == simnet.Data && r.c.tap.saw(tag) {
				held, fromDialer = pk.Conn, pk.FromDialer
			}
			if held != 0 && pk.Conn == held && pk.FromDialer == fromDialer {
				return simnet.Stall()
			}
			return simnet.Pass()
		})
		r.holds[[2]int{a, b}] = append(r.holds[[2]int{a, b}], f)
		return nil
	}, err
}

func parseReset(p *scenarioParser) (func(*scenarioRun) error, error) {
	a, b, err := p.two()
	if err != nil {
		return nil, err
	}
	tag, err := p.tag()
	return func(r *scenarioRun) error {
		r.c.Add("reset", simnet.Once(func(pk *simnet.Packet) simnet.Verdict {
			if pk.Kind == simnet.Data && pk.From == r.host(a) && pk.To == r.host(b) && r.c.tap.saw(tag) {
				return simnet.Reset()
			}
			return simnet.Pass()
		}))
		return nil
	}, err
}

// osdName is the entity of node i.
func osdName(i int) entity.Name { return entity.OSD(int64(i)) }
