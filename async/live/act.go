package live

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// cutName is the action that Config.Cut offers.
const cutName = "cut"

// requestMax is the longest body of a request to act, in bytes.
const requestMax = 4 << 10

// tokenHeader has the token that the page was given: other sites cannot read it.
const tokenHeader = "X-Live-Token"

// request asks for an action on a node, or, for a cut, on the sessions between two.
type request struct {
	Action string `json:"action"`
	Node   string `json:"node"`
	Peer   string `json:"peer,omitempty"`
}

var errRefused = errors.New("live: refused")

// act answers POST /act: 200 and what was done, 403 and why not.
func (h *Handler) act(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get(tokenHeader) != h.token {
		http.Error(w, "live: the token of the page is missing: "+tokenHeader, http.StatusForbidden)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, requestMax))
	var q request
	if err == nil {
		err = json.Unmarshal(body, &q)
	}
	if err != nil {
		http.Error(w, fmt.Sprintf("live: the request cannot be read: %v", err), http.StatusBadRequest)
		return
	}
	text, err := h.do(q)
	if err != nil {
		http.Error(w, err.Error(), http.StatusForbidden)
		return
	}
	h.hub.looker.acted(event{At: time.Now().UnixMilli(), Kind: "act", Node: q.Node, Peer: q.Peer, Text: text})
	_ = json.NewEncoder(w).Encode(map[string]string{"did": text}) // who does not read has no answer
}

func (h *Handler) do(q request) (string, error) {
	if q.Action == cutName {
		if !h.cfg.Cut {
			return "", fmt.Errorf("%w: cutting sessions is not enabled", errRefused)
		}
		n := h.cut(q.Node, q.Peer)
		if n == 0 {
			return "", fmt.Errorf("%w: there is no session of %s with %s that may be cut", errRefused, q.Node, q.Peer)
		}
		return fmt.Sprintf("cut %d connection%s", n, plural(n)), nil
	}
	for _, a := range h.cfg.Actions {
		if a.Name != q.Action {
			continue
		}
		if !a.For(q.Node) {
			return "", fmt.Errorf("%w: %s is not for %q now", errRefused, a.Name, q.Node)
		}
		return a.Label, a.Do(q.Node)
	}
	return "", fmt.Errorf("%w: the action %q is not enabled", errRefused, q.Action)
}

// cut cuts the connections of node with peer, "" for all, at that end which is here; and at the
// other one only if the first has none.
func (h *Handler) cut(node, peer string) (n int) {
	book := newBook(h.cfg.Messengers())
	for _, m := range book.messengers {
		if m.Faults() == nil || m.Name().String() != node {
			continue
		}
		for c, s := range m.ConnectionStats() {
			with := s.Up && !s.Loopback && (peer == "" || book.peer(&s).String() == peer)
			if with && m.Faults().Cut(c) {
				n++
			}
		}
	}
	if n == 0 && peer != "" && peer != node && book.has(peer) && !book.has(node) {
		return h.cut(peer, node)
	}
	return n
}

func plural(n int) string {
	if n == 1 {
		return ""
	}
	return "s"
}
