package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"

	"github.com/asyncmsgr/asyncmsgr/async/denc"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/bench/internal/command"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
)

// pingOutput prints pings as text, or as JSON objects, a line each.
type pingOutput struct {
	w    io.Writer
	json bool
	said string // of how the session is protected

	shared bool // it is by a shared secret
}

// pingJSON is one ping as an object. Its field names, and those of pingSummary, are
// documented in pingCmd.Help and do not change.
type pingJSON struct {
	Event  string  `json:"event"` // "ping"
	N      int     `json:"n"`
	OK     bool    `json:"ok"`
	RTT    float64 `json:"rtt_ms,omitempty"`
	From   string  `json:"from,omitempty"`
	Bytes  *int    `json:"bytes,omitempty"` // of the answer; it may be 0
	Answer string  `json:"answer,omitempty"`
	Error  string  `json:"error,omitempty"`

	Method  string     `json:"method,omitempty"` // of the session
	Mode    string     `json:"mode,omitempty"`
	Peer    string     `json:"peer,omitempty"` // by its certificate
	Expires *time.Time `json:"expires,omitempty"`

	Reason  string   `json:"reason,omitempty"` // of the last failed attempt to connect
	State   string   `json:"state,omitempty"`
	Attempt int      `json:"attempt,omitempty"`
	Hint    string   `json:"hint,omitempty"`
	Methods []string `json:"allowed_methods,omitempty"`
	Modes   []string `json:"allowed_modes,omitempty"`
}

// protect takes over how the session is protected.
func (j *pingJSON) protect(a *entity.Authenticated) {
	j.Method, j.Mode = auth.MethodName(a.Method), auth.ModeName(a.Mode)
	if a.Proved {
		j.Peer = a.Name.String()
	}
	if !a.Expires.IsZero() {
		utc := a.Expires.UTC()
		j.Expires = &utc
	}
}

// explain takes over what is known of a failed attempt.
func (j *pingJSON) explain(failed *msg.ConnectError) {
	j.Reason, j.State, j.Attempt, j.Hint = failed.Reason.String(), failed.State, failed.Attempt, failed.Hint()
	if refused, ok := errors.AsType[*auth.RefusedError](failed); ok {
		for _, m := range refused.Methods {
			j.Methods = append(j.Methods, auth.MethodName(m))
		}
		for _, m := range refused.Modes {
			j.Modes = append(j.Modes, auth.ModeName(m))
		}
	}
}

// pingSummary counts.
type pingSummary struct {
	Event       string  `json:"event"` // "summary"
	Addr        string  `json:"addr"`
	Type        string  `json:"type"`
	Pings       int     `json:"pings"`
	Answers     int     `json:"answers"`
	Reopened    int     `json:"sessions_reopened"`
	Least       float64 `json:"rtt_min_ms,omitempty"`
	Average     float64 `json:"rtt_avg_ms,omitempty"`
	Most        float64 `json:"rtt_max_ms,omitempty"`
	Interrupted bool    `json:"interrupted,omitempty"`
	Error       string  `json:"error,omitempty"`

	sum time.Duration
}

func (s *pingSummary) add(d time.Duration) {
	ms := millis(d)
	if s.Answers == 0 || ms < s.Least {
		s.Least = ms
	}
	s.Answers++
	s.sum += d
	s.Average = millis(s.sum / time.Duration(s.Answers))
	s.Most = max(s.Most, ms)
}

// millis is d in milliseconds, to the microsecond and at least that.
func millis(d time.Duration) float64 {
	return float64(max(d.Round(time.Microsecond), time.Microsecond)) / float64(time.Millisecond)
}

// How much of the first answer is shown: as text, and in JSON, in bytes.
const (
	answerLinesMax = 8
	answerWidthMax = 100
	answerJSONMax  = 64 << 10
)

func (o *pingOutput) begin(typ entity.Type, peer entity.Addr) {
	if !o.json {
		fmt.Fprintf(o.w, "ping %s %s\n", typ, peer)
	}
}

// answer prints an answer; full shows what it says.
func (o *pingOutput) answer(n int, m *msg.Message, rtt time.Duration, full bool) error {
	text := m.Front
	r := denc.NewReader(m.Front)
	if s := r.BL(); r.Err() == nil {
		text = s
	}
	authed := m.Connection().Authenticated()
	if o.json {
		size := len(text)
		j := pingJSON{Event: "ping", N: n, OK: true, RTT: millis(rtt), From: m.Source().String(), Bytes: &size}
		j.protect(&authed)
		if full {
			j.Answer = string(text[:min(len(text), answerJSONMax)])
		}
		return o.encode(j)
	}
	var b strings.Builder
	if how := identity(&authed, o.shared); how != o.said {
		fmt.Fprintln(&b, how)
		o.said = how
	}
	fmt.Fprintf(&b, "%d: %d bytes from %s in %.3f ms\n", n, len(text), m.Source(), millis(rtt))
	if full {
		lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
		for _, l := range lines[:min(len(lines), answerLinesMax)] {
			fmt.Fprintf(&b, "   %s\n", printable(l))
		}
		if more := len(lines) - answerLinesMax; more > 0 {
			fmt.Fprintf(&b, "   ... and %d more lines\n", more)
		}
	}
	_, err := io.WriteString(o.w, b.String())
	return err
}

// missing prints that a ping was not answered, and why.
func (o *pingOutput) missing(n int, why error) error {
	failed, known := errors.AsType[*msg.ConnectError](why)
	if o.json {
		j := pingJSON{Event: "ping", N: n, Error: command.OneLine(why)}
		if known {
			j.explain(failed)
		}
		return o.encode(j)
	}
	_, err := fmt.Fprintf(o.w, "%d: no answer: %s\n", n, command.OneLine(why))
	if known && failed.Hint() != "" && err == nil {
		_, err = fmt.Fprintf(o.w, "   %s\n", failed.Hint())
	}
	return err
}

// summary prints the end. As text there is nothing to say if no ping was sent for want of
// an address: the error is printed anyway.
func (o *pingOutput) summary(s *pingSummary) error {
	if o.json {
		s.Event = "summary"
		return o.encode(s)
	}
	if s.Pings == 0 && !s.Interrupted {
		return nil
	}
	var b strings.Builder
	if s.Interrupted {
		b.WriteString("interrupted: ")
	}
	fmt.Fprintf(&b, "%d pings, %d answers, %d sessions opened anew", s.Pings, s.Answers, s.Reopened)
	if s.Answers > 0 {
		fmt.Fprintf(&b, "; round trip min/avg/max %.3f ms / %.3f ms / %.3f ms", s.Least, s.Average, s.Most)
	}
	_, err := fmt.Fprintln(o.w, b.String())
	return err
}

func (o *pingOutput) encode(v any) error {
	e := json.NewEncoder(o.w)
	e.SetEscapeHTML(false)
	return e.Encode(v)
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
