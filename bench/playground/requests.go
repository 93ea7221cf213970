package playground

import (
	"errors"
	"fmt"
	"time"
)

// requests are what the page may ask for. It is filled by init because they refer to it.
var requests map[string]func(e *Engine, q *request) ([]reply, error)

func init() {
	requests = map[string]func(e *Engine, q *request) ([]reply, error){
		"hello": func(e *Engine, _ *request) ([]reply, error) { return []reply{e.ready()}, nil },
		"start": func(e *Engine, q *request) ([]reply, error) { return e.start(q.Text, q.Seed) },
		"preset": func(e *Engine, q *request) ([]reply, error) {
			text, err := PresetText(q.Name, PresetOptions{Nodes: q.Nodes, Faults: q.Faults, Policy: q.Policy})
			if err != nil {
				return nil, err
			}
			return e.start(text, q.Seed)
		},
		"advance": running(func(r *run, q *request) ([]reply, error) {
			to, err := timeOf(q.To)
			if err != nil {
				return nil, err
			}
			r.advance(to, budget(q))
			return []reply{r.state()}, nil
		}),
		"seek": running(func(r *run, q *request) ([]reply, error) {
			to, err := timeOf(q.To)
			if err != nil {
				return nil, err
			}
			err = r.seek(to, budget(q))
			return []reply{r.state()}, err
		}),
		"finish": running(func(r *run, q *request) ([]reply, error) {
			r.finish(budget(q))
			return []reply{r.state()}, nil
		}),
		"step": running(func(r *run, _ *request) ([]reply, error) {
			r.step()
			return []reply{r.state()}, nil
		}),
		"act": running(func(r *run, q *request) ([]reply, error) {
			err := r.act(q.Line)
			return []reply{r.text(), r.state()}, err
		}),
		"truncate": running(func(r *run, _ *request) ([]reply, error) {
			err := r.truncate()
			return []reply{r.text(), r.state()}, err
		}),
		"text":  running(func(r *run, _ *request) ([]reply, error) { return []reply{r.text()}, nil }),
		"state": running(func(r *run, _ *request) ([]reply, error) { return []reply{r.state()}, nil }),
		"hash":  running(func(r *run, _ *request) ([]reply, error) { return []reply{r.hash()}, nil }),
		"chart": running(func(r *run, q *request) ([]reply, error) {
			from, err := timeOf(q.From)
			if err != nil {
				return nil, err
			}
			to, err := timeOf(q.To)
			if err != nil {
				return nil, err
			}
			c, err := r.window(from, to, budget(q))
			if err != nil {
				return nil, err
			}
			return []reply{{"type": "chart", "rows": c.Rows, "hosts": c.Hosts, "chart": c.Chart}}, nil
		}),
	}
}

func running(do func(r *run, q *request) ([]reply, error)) func(e *Engine, q *request) ([]reply, error) {
	return func(e *Engine, q *request) ([]reply, error) {
		if e.run == nil {
			return nil, errors.New("nothing runs yet")
		}
		return do(e.run, q)
	}
}

func timeOf(ns float64) (time.Duration, error) {
	if !(ns >= 0 && ns <= float64(TimeMax)) {
		return 0, fmt.Errorf("%v is no time from 0 to %v", ns, TimeMax)
	}
	return time.Duration(ns), nil
}

// budget is what says that a request has taken long enough; nil: nothing does.
func budget(q *request) func() bool {
	if !(q.Budget > 0) {
		return nil
	}
	end := time.Now().Add(time.Duration(min(q.Budget, 60_000) * float64(time.Millisecond)))
	return func() bool { return time.Now().After(end) }
}
