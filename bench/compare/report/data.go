package report

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
)

// JSON writes the rows as one JSON array.
func JSON(w io.Writer, rows []Row) error {
	if rows == nil {
		rows = []Row{} // an array still
	}
	return indented(w, rows)
}

// Raw writes all of the report as one JSON object: environment and samples, and what the
// pages say, pictures' sentences and targets.
func Raw(w io.Writer, r *Report) error {
	pictures, err := Pictures(r.Rows, r.Reference)
	if err != nil {
		return err
	}
	return indented(w, struct {
		Pictures []Picture `json:"pictures,omitempty"`
		Targets  []Target  `json:"targets"`
		*Report
	}{pictures, Targets(r.Rows), r})
}

func indented(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// CSV writes the samples, a line each, under the names that they have in JSON. The
// environment comes before, in lines that begin with #.
func CSV(w io.Writer, r *Report) error {
	if err := commented(w, r); err != nil {
		return err
	}
	names, _ := record(&Row{})
	c := csv.NewWriter(w)
	if err := c.Write(append([]string{"round"}, names...)); err != nil {
		return err
	}
	for i := range r.Samples {
		_, values := record(&r.Samples[i].Row)
		if err := c.Write(append([]string{strconv.Itoa(r.Samples[i].Round)}, values...)); err != nil {
			return err
		}
	}
	c.Flush()
	return c.Error()
}

// record returns the names of a row's fields in JSON, and their values.
func record(r *Row) (names, values []string) {
	v := reflect.ValueOf(*r)
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		names = append(names, name)
		values = append(values, fmt.Sprint(v.Field(i).Interface()))
	}
	return names, values
}

// commented writes what a file of lines begins with.
func commented(w io.Writer, r *Report) error {
	fields := r.Environment.Fields()
	if r.Partial != "" {
		fields = append(fields, Field{"partial", r.Partial})
	}
	for _, f := range fields {
		if _, err := fmt.Fprintf(w, "# %s: %s\n", f.Name, f.Value); err != nil {
			return err
		}
	}
	return nil
}

// Benchstat writes the samples as lines of Go benchmarks, one each: benchstat -col
// /contestant compares the contestants, benchstat OLD NEW two runs. A sample without a
// result is a comment.
func Benchstat(w io.Writer, r *Report) error {
	if err := commented(w, r); err != nil {
		return err
	}
	goos, goarch, _ := strings.Cut(r.Environment.Platform, "/")
	if _, err := fmt.Fprintf(w,
		"goos: %s\ngoarch: %s\npkg: github.com/asyncmsgr/asyncmsgr/bench\ncpu: %s\nUnit msgs/s better=higher\n",
		goos, goarch, r.Environment.CPU); err != nil {
		return err
	}
	for i := range r.Samples {
		if err := benchmark(w, &r.Samples[i]); err != nil {
			return err
		}
	}
	return nil
}

func benchmark(w io.Writer, s *Sample) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Benchmark%s/contestant=%s/connections=%d/size=%d/window=%d",
		benchmarkName(s.Scenario), s.Contestant, s.Connections, s.Size, s.Window)
	if s.Rounds == 0 {
		_, err := fmt.Fprintf(w, "# %s round %d: %s\n",
			b.String(), s.Round, strings.Join(strings.Fields(why(&s.Row)), " "))
		return err
	}
	b.WriteString(" 1")
	metric := func(x float64, unit string) {
		if x > 0 {
			fmt.Fprintf(&b, " %.6g %s", x, unit)
		}
	}
	if s.Msgs > 0 {
		metric(1e9/s.Msgs, "ns/op")
	}
	metric(s.Msgs, "msgs/s")
	metric(s.P50*1e3, "p50-ns")
	metric(s.P99*1e3, "p99-ns")
	metric(s.P999*1e3, "p999-ns")
	metric(s.CPU*1e3, "cpu-ns/op")
	metric(s.Syscalls, "syscalls/op")
	metric(s.CtxSwitches, "ctxsw/op")
	metric(s.Allocs, "allocs/op")
	metric(s.RSS*1024, "rss-B/conn")
	metric(s.Drain*1e6, "drain-ns")
	fmt.Fprintf(&b, " %d goroutines %d threads", s.Goroutines, s.Threads)
	_, err := fmt.Fprintln(w, b.String())
	return err
}

// benchmarkName makes a name that Go's benchmarks could have: ping-pong is PingPong,
// pipelined/16/64B is Pipelined_16_64B.
func benchmarkName(scenario string) string {
	var b strings.Builder
	upper := true
	for _, c := range scenario {
		switch {
		case c == '-':
			upper = true
		case c == '/':
			b.WriteByte('_')
		case upper:
			b.WriteString(strings.ToUpper(string(c)))
			upper = false
		default:
			b.WriteRune(c)
		}
	}
	return b.String()
}
