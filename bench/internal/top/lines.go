package top

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// Options are what msgr top was asked for.
type Options struct {
	Path              string
	Interval, Timeout time.Duration
	Max               int // connections of each messenger
	Order             Order
	Filter            string
	Count             int // frames; 0: until ctx ends
	JSON              bool
}

// Lines writes a table, or a line of JSON, every Interval, until there were Count of them or ctx
// ends, for which it returns nil. The first comes after an interval: rates need two samples. It
// fails as soon as the socket does not answer.
func Lines(ctx context.Context, w io.Writer, o Options) error {
	before, err := Ask(o.Path, o.Max, o.Timeout)
	if err != nil {
		return err
	}
	tick := time.NewTicker(o.Interval)
	defer tick.Stop()
	for n := 0; o.Count == 0 || n < o.Count; n++ {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		now, err := Ask(o.Path, o.Max, o.Timeout)
		if err != nil {
			return err
		}
		if err := write(w, Between(before, now), o, n); err != nil {
			return err
		}
		before = now
	}
	return nil
}

func write(w io.Writer, f *Frame, o Options, n int) error {
	rows := f.View(o.Order, false, o.Filter)
	if o.JSON {
		if f.Rows = rows; rows == nil {
			f.Rows = []Row{}
		}
		return json.NewEncoder(w).Encode(f)
	}
	text := ""
	if n > 0 {
		text = "\n"
	}
	text += f.Time.Format(time.RFC3339) + "\n"
	for _, m := range f.Of(rows, o.Filter) {
		text += summary(m, 0) + "\n"
	}
	cols := columns(0, len(f.Messengers) > 1)
	text += head(cols, 0) + "\n"
	for i := range rows {
		text += row(cols, 0, &rows[i]) + "\n"
	}
	if _, err := io.WriteString(w, text); err != nil {
		return fmt.Errorf("cannot write: %w", err)
	}
	return nil
}
