package top

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Screen is what is seen of the samples on a terminal, and what its keys do. One goroutine.
type Screen struct {
	Path     string
	Interval time.Duration
	Order    Order
	Filter   string

	width, height int
	backwards     bool
	typing        bool // keys are letters of the filter
	first         int  // row at the top
	help          bool

	last  *Sample
	frame *Frame
	err   error
	lost  time.Time // since when err
}

// Take has what the socket answered at that time.
func (s *Screen) Take(now time.Time, sample *Sample, err error) {
	if err != nil {
		if s.err == nil {
			s.lost = now
		}
		s.err = err
		return
	}
	s.err = nil
	s.frame, s.last = Between(s.last, sample), sample
}

// Resize is the size of the terminal.
func (s *Screen) Resize(width, height int) { s.width, s.height = width, height }

// keys choose the order.
var keys = map[string]Order{
	"r": ByReceived, "s": BySent, "b": ByBytes, "q": ByQueue, "t": ByStalled, "f": ByFaults, "p": ByPeer,
}

// Key does what a key asks for, by bubbletea's name for it, and says whether that is the end.
func (s *Screen) Key(name, text string) (end bool) {
	if name == "ctrl+c" {
		return true
	}
	if s.typing {
		s.typeKey(name, text)
		return false
	}
	s.help = false
	if o, ok := keys[name]; ok {
		s.backwards = s.Order == o && !s.backwards
		s.Order, s.first = o, 0
		return false
	}
	switch name {
	case "x", "esc":
		return true
	case "/":
		s.typing = true
	case "?", "h":
		s.help = true
	case "up", "k":
		s.first--
	case "down", "j":
		s.first++
	case "pgup":
		s.first -= s.room()
	case "pgdown", "space":
		s.first += s.room()
	case "home":
		s.first = 0
	case "end":
		s.first = len(s.rows())
	}
	s.first = max(0, min(s.first, len(s.rows())-s.room()))
	return false
}

// filterMax bounds the filter, in bytes.
const filterMax = 200

func (s *Screen) typeKey(name, text string) {
	switch name {
	case "enter":
		s.typing = false
	case "esc":
		s.typing, s.Filter = false, ""
	case "backspace":
		if r := []rune(s.Filter); len(r) > 0 {
			s.Filter = string(r[:len(r)-1])
		}
	default:
		if text = printable(text); len(s.Filter)+len(text) <= filterMax {
			s.Filter += text
		}
	}
	s.first = 0
}

func (s *Screen) rows() []Row {
	if s.frame == nil {
		return nil
	}
	return s.frame.View(s.Order, s.backwards, s.Filter)
}

// messengersMax is how many messengers have a line.
const messengersMax = 4

// top are the lines above the rows.
func (s *Screen) top() (lines []string) {
	order := string(s.Order)
	if s.backwards {
		order += ", backwards"
	}
	lines = append(lines, cut(fmt.Sprintf("msgr top %s, every %v, by %s%s", printable(s.Path), s.Interval, order,
		s.filterText()), s.width))
	if s.frame == nil {
		return lines
	}
	of := s.frame.Of(s.rows(), s.Filter)
	for i, m := range of {
		if i == messengersMax {
			lines = append(lines, cut(fmt.Sprintf("and %d more messengers", len(of)-i), s.width))
			break
		}
		lines = append(lines, summary(m, s.width))
	}
	return append(lines, head(s.columns(), s.width))
}

func (s *Screen) filterText() string {
	switch {
	case s.typing:
		return ", filter: " + s.Filter + "_"
	case s.Filter != "":
		return ", filter: " + s.Filter
	}
	return ""
}

func (s *Screen) columns() []column { return columns(s.width, len(s.frame.Messengers) > 1) }

// room is how many rows there is room for.
func (s *Screen) room() int { return max(1, s.height-len(s.top())-1) }

const keysHelp = "? keys  / filter  r s b q t f p sort  x end"

var helpLines = []string{
	"", "r s b    by messages received, sent, by bytes", "q t f p  by queue, stall, faults, peer; again: backwards",
	"/        filter: words, enter keeps it, esc drops it", "up down pgup pgdown home end: scroll",
	"x esc ctrl+c: the end", "",
	"STALL: for how long nothing of the send queue has ended",
	"FAULTS: connections lost, and those lost in the last interval",
	"messengers: new: handshakes; dispatch: what waits (for how long), in dispatch/bound",
	"docs/TROUBLESHOOTING.md says what to do, by symptom",
}

// View is the screen: at most so many lines as it is high, none wider than it is.
func (s *Screen) View(now time.Time) string {
	if s.width <= 0 || s.height <= 0 {
		return ""
	}
	lines := s.top()
	rows := s.rows()
	last := keysHelp
	switch {
	case s.err != nil:
		last = fmt.Sprintf("no answer for %v: %v", now.Sub(s.lost).Round(time.Second), printable(s.err.Error()))
	case s.frame == nil:
		last = "waiting for the first answer"
	case len(rows) == 0 && s.Filter != "":
		last = "no connection has that; esc in the filter drops it"
	case len(rows) > s.room():
		last = fmt.Sprintf("%d to %d of %d  %s", s.first+1, min(s.first+s.room(), len(rows)), len(rows), keysHelp)
	}
	switch {
	case s.help:
		lines = append(slices.Clone(lines[:1]), helpLines...)
	case s.frame != nil:
		cols := s.columns()
		for i := s.first; i < min(s.first+s.room(), len(rows)); i++ {
			lines = append(lines, row(cols, s.width, &rows[i]))
		}
	}
	if len(lines) > s.height-1 {
		lines = lines[:s.height-1]
	}
	for len(lines) < s.height-1 {
		lines = append(lines, "")
	}
	for i, l := range lines {
		lines[i] = cut(l, s.width)
	}
	return strings.Join(append(lines, cut(last, s.width)), "\n")
}
