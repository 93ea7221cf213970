package live

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// hub looks while somebody watches, and hands what it found to all viewers.
type hub struct {
	looker *looker
	every  time.Duration

	mu      sync.Mutex
	closed  bool
	viewers map[*viewer]bool
	stop    chan struct{} // of the goroutine that looks; nil: it does not run
	last    []byte        // what was found last, as an event of the stream
	ended   sync.WaitGroup
}

// viewer is a page that watches. next has one place: who has not written what was found before
// when the next is there misses it, which matters to none but the timeline; see take.
type viewer struct {
	next chan []byte // closed when the hub is
	late bool        // it has missed one; under hub.mu
}

func newHub(l *looker, every time.Duration) *hub {
	return &hub{looker: l, every: every, viewers: map[*viewer]bool{}}
}

// join adds a viewer, if there is room. The first one starts the looking.
func (h *hub) join() (*viewer, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, fmt.Errorf("live: the page is closed")
	}
	if len(h.viewers) >= ViewersMax {
		return nil, fmt.Errorf("live: %d pages watch already", ViewersMax)
	}
	v := &viewer{next: make(chan []byte, 1)}
	h.viewers[v] = true
	h.ended.Add(1)
	if h.stop == nil {
		h.stop, h.last = make(chan struct{}), nil
		h.ended.Add(1)
		go h.run(h.stop)
	} else if h.last != nil {
		v.next <- h.last
	}
	return v, nil
}

// leave removes a viewer. The last one ends the looking.
func (h *hub) leave(v *viewer) {
	h.mu.Lock()
	delete(h.viewers, v)
	if len(h.viewers) == 0 && h.stop != nil {
		close(h.stop)
		h.stop = nil
	}
	h.mu.Unlock()
	h.ended.Done()
}

func (h *hub) close() {
	h.mu.Lock()
	if !h.closed {
		h.closed = true
		for v := range h.viewers {
			close(v.next)
		}
	}
	h.mu.Unlock()
	h.ended.Wait()
}

// run looks until stop is closed.
func (h *hub) run(stop chan struct{}) {
	defer h.ended.Done()
	h.looker.begin()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-stop:
			return
		case <-timer.C:
		}
		watch := startWatch()
		found := frame("state", h.looker.look())
		h.give(found, stop)
		timer.Reset(pause(h.every, watch.took()))
	}
}

// pause is how long to wait after a look that took so long.
func pause(every, took time.Duration) time.Duration { return max(every-took, took*(costMax-1)) }

// give hands a state to all viewers of that run.
func (h *hub) give(found []byte, of chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed || h.stop != of {
		return
	}
	h.last = found
	for v := range h.viewers {
		select {
		case v.next <- found:
		default:
			v.late = true
		}
	}
}

// missed says whether a viewer has missed a state since the last call.
func (h *hub) missed(v *viewer) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	was := v.late
	v.late = false
	return was
}

// frame is an event of a stream of server-sent events.
func frame(event string, data any) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "event: %s\ndata: ", event)
	if err := json.NewEncoder(&b).Encode(data); err != nil { // it ends the line
		panic(err) // structs of plain fields
	}
	b.WriteByte('\n')
	return b.Bytes()
}

// hello is what a page is told first: what it may do, and the timeline so far.
type hello struct {
	Title   string        `json:"title"`
	Token   string        `json:"token,omitempty"`
	Cut     bool          `json:"cut"`
	Actions []actionLabel `json:"actions"`
	Every   int64         `json:"every"` // milliseconds
	Events  []event       `json:"events"`
}

type actionLabel struct {
	Name  string `json:"name"`
	Label string `json:"label"`
}

func (h *Handler) hello() hello {
	x := hello{Title: h.cfg.Title, Cut: h.cfg.Cut, Actions: []actionLabel{}, Every: h.cfg.Every.Milliseconds(),
		Events: h.hub.looker.timeline()}
	for _, a := range h.cfg.Actions {
		x.Actions = append(x.Actions, actionLabel{a.Name, a.Label})
	}
	if x.Cut || len(x.Actions) > 0 {
		x.Token = h.token
	}
	return x
}

// watch answers GET /watch: a stream of server-sent events, "hello" and then "state" each time that
// somebody has looked, until the viewer goes, does not read for 5 s, or the handler is closed.
func (h *Handler) watch(w http.ResponseWriter, r *http.Request) {
	v, err := h.hub.join()
	if err != nil {
		w.Header().Set("Retry-After", "5")
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	defer h.hub.leave(v)
	w.Header().Set("Content-Type", "text/event-stream")
	out := http.NewResponseController(w)
	write := func(b []byte) bool {
		// A server that cannot bound the time has bounds of its own.
		_ = out.SetWriteDeadline(time.Now().Add(writeMax))
		_, err := w.Write(b)
		return err == nil && out.Flush() == nil
	}
	if !write(frame("hello", h.hello())) {
		return
	}
	for {
		select {
		case <-r.Context().Done():
			return
		case b, ok := <-v.next:
			if !ok {
				return
			}
			// After a gap the timeline begins anew: it has what was missed.
			if h.hub.missed(v) && !write(frame("hello", h.hello())) {
				return
			}
			if !write(b) {
				return
			}
		}
	}
}
