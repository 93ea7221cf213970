package top

import (
	"fmt"
	"strings"
	"time"
	"unicode"
)

// column is one of the table: negative widths are for text, which begins at the left.
type column struct {
	head  string
	width int
	text  func(r *Row) string
}

var (
	messengerColumn = column{"MESSENGER", -11, func(r *Row) string { return r.Messenger }}
	narrow          = []column{
		{"PEER", -11, func(r *Row) string { return r.Peer }},
		{"ADDRESS", -21, func(r *Row) string { return r.Address }},
		{"STATE", -9, func(r *Row) string { return r.State }},
		{"RECV/S", 6, func(r *Row) string { return short(r.Received) }},
		{"SENT/S", 6, func(r *Row) string { return short(r.Sent) }},
		{"QUEUE", 6, func(r *Row) string { return short(float64(r.Queue)) }},
		{"STALL", 5, func(r *Row) string { return seconds(r.Stalled) }},
		{"FAULTS", 6, faults},
	}
	wide = []column{
		{"IN B/S", 7, func(r *Row) string { return short(r.ReceivedBytes) }},
		{"OUT B/S", 7, func(r *Row) string { return short(r.SentBytes) }},
		{"QUEUE B", 7, func(r *Row) string { return short(float64(r.QueueBytes)) }},
		{"ACK", 6, func(r *Row) string { return seconds(r.Ack) }},
		{"WHAT IS WRONG", -40, wrong},
	}
)

// faults are those ever, and the new ones.
func faults(r *Row) string {
	if r.NewFaults > 0 {
		return fmt.Sprintf("%s+%s", short(float64(r.Faults-r.NewFaults)), short(float64(r.NewFaults)))
	}
	return short(float64(r.Faults))
}

// wrong is why a connection does not go on, if that is known.
func wrong(r *Row) string {
	if r.ThrottledBy != "" {
		return "not read from: " + r.ThrottledBy
	}
	return r.LastError
}

// columns are those that there is room for; width 0 is room for all.
func columns(width int, several bool) []column {
	all := narrow
	if several && (width == 0 || width >= 92) {
		all = append([]column{messengerColumn}, all...)
	}
	if width == 0 || width >= 132 {
		all = append(all[:len(all):len(all)], wide...)
	}
	return all
}

// line is one of the table, at most so wide; 0: as wide as it is.
func line(cols []column, width int, text func(c *column) string) string {
	var b strings.Builder
	for i := range cols {
		if i > 0 {
			b.WriteByte(' ')
		}
		t := printable(text(&cols[i]))
		w := cols[i].width
		last := i == len(cols)-1
		switch {
		case w < 0 && last:
			b.WriteString(t) // as long as it is
		case w < 0:
			fmt.Fprintf(&b, "%-*s", -w, cut(t, -w))
		default:
			fmt.Fprintf(&b, "%*s", w, t)
		}
	}
	return cut(strings.TrimRight(b.String(), " "), width)
}

func head(cols []column, width int) string {
	return line(cols, width, func(c *column) string { return c.head })
}

func row(cols []column, width int, r *Row) string {
	return line(cols, width, func(c *column) string { return c.text(r) })
}

// summary is a messenger in a line: its connections, what is in dispatch, and what it has to send.
func summary(m *Messenger, width int) string {
	s := fmt.Sprintf("%s: %d conns, %d new, %d away; dispatch %d (%s), %d stuck, %s/%s; out %s", m.Name, m.Count,
		m.Handshakes, m.Absent, m.Queue.Length, seconds(m.Queue.Age), m.Queue.Stuck, short(float64(m.Throttle.Held)),
		short(float64(m.Throttle.Max)), short(float64(m.SendBytes)))
	if m.Life != "started" {
		s += ", " + m.Life
	}
	if m.Throttle.Waiting > 0 {
		s += fmt.Sprintf(", %d wait", m.Throttle.Waiting)
	}
	if m.Left > 0 {
		s += fmt.Sprintf(", %d not shown (--max)", m.Left)
	}
	return cut(printable(s), width)
}

// short is a number in at most five columns.
func short(n float64) string {
	for _, unit := range []string{"", "k", "M", "G", "T", "P"} {
		switch {
		case unit == "" && n > 0 && n < 9.95 && n != float64(int(n)):
			return fmt.Sprintf("%.1f", n)
		case unit == "" && n < 9999.5, n < 999.5 && n >= 9.95:
			return fmt.Sprintf("%.0f%s", n, unit)
		case n < 9.95:
			return fmt.Sprintf("%.1f%s", n, unit)
		}
		n /= 1000
	}
	return fmt.Sprintf("%.0fE", n)
}

// seconds is a time in at most five columns; "-" is none.
func seconds(s float64) string {
	d := time.Duration(s * float64(time.Second))
	switch {
	case d <= 0:
		return "-"
	case d < time.Millisecond:
		return fmt.Sprintf("%dus", max(1, d.Microseconds()))
	case d < time.Second:
		return fmt.Sprintf("%dms", d.Milliseconds())
	case d < 100*time.Second:
		return fmt.Sprintf("%.1fs", float64(d/(100*time.Millisecond))/10)
	case d < 100*time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	default:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
}

// printable has no control characters, which names and errors of peers may have.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return ' '
		}
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}

// cut is s in at most so many columns; 0: all of it.
func cut(s string, width int) string {
	r := []rune(s)
	switch {
	case width <= 0 || len(r) <= width:
		return s
	case width == 1:
		return "~"
	}
	return string(r[:width-1]) + "~"
}
