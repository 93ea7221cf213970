package live

import (
	"crypto/rand"
	"embed"
	"io/fs"
	"net/http"

	"github.com/asyncmsgr/asyncmsgr/async/live/look"
)

//go:embed web
var files embed.FS

// Handler is the page, and what it asks for. All methods may be called by any goroutine.
type Handler struct {
	cfg   Config
	guard guard
	token string // of the requests to act
	mux   *http.ServeMux
	hub   *hub
}

// New returns a handler. Close ends it.
func New(cfg Config) (*Handler, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	site, err := fs.Sub(files, "web")
	if err != nil {
		panic(err) // it is embedded
	}
	h := &Handler{cfg: cfg, guard: newGuard(cfg.Hosts), token: rand.Text(), mux: http.NewServeMux()}
	h.hub = newHub(newLooker(&h.cfg), h.cfg.Every)
	h.mux.Handle("GET /", http.FileServerFS(look.Under(site)))
	h.mux.HandleFunc("GET /watch", h.watch)
	h.mux.HandleFunc("POST /act", h.act)
	return h, nil
}

// Close ends all viewers and what looks for them, and waits for that. Requests from then on are
// refused. A second Close does nothing.
func (h *Handler) Close() { h.hub.close() }

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	head := w.Header()
	head.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "+
		"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	head.Set("X-Content-Type-Options", "nosniff")
	head.Set("Referrer-Policy", "no-referrer")
	head.Set("Cross-Origin-Resource-Policy", "same-origin")
	head.Set("Cache-Control", "no-store") // the next build may have other files
	if err := h.guard.admit(r); err != nil {
		http.Error(w, err.Error(), http.StatusForbidden)
		return
	}
	h.mux.ServeHTTP(w, r)
}
