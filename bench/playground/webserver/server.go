package webserver

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"path"
	"strings"
	"sync"
	"time"
)

// Bounds of the server.
const (
	connsMax  = 64
	headMax   = 16 << 10         // bytes of a request
	idleMax   = time.Minute      // until the next request
	answerMax = 10 * time.Minute // for a file
)

// types are the types of the files that a page has.
var types = map[string]string{
	".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8",
	".wasm": "application/wasm", ".svg": "image/svg+xml", ".json": "application/json", ".png": "image/png",
	".txt": "text/plain; charset=utf-8", ".md": "text/plain; charset=utf-8", ".ico": "image/x-icon",
}

// Serve answers requests for the files of a site until ctx ends, which is no error. It closes
// l and ends all connections. More than 64 at a time wait.
func Serve(ctx context.Context, l net.Listener, site fs.FS) error {
	var (
		mu    sync.Mutex
		conns = map[net.Conn]bool{}
		all   sync.WaitGroup
		slots = make(chan struct{}, connsMax)
	)
	stop := context.AfterFunc(ctx, func() {
		_ = l.Close()
		mu.Lock()
		defer mu.Unlock()
		for c := range conns {
			_ = c.Close()
		}
	})
	defer func() {
		stop()
		_ = l.Close()
		all.Wait()
	}()
	for {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return nil
		}
		c, err := l.Accept()
		if ctx.Err() != nil {
			if err == nil {
				_ = c.Close()
			}
			return nil
		} else if err != nil {
			return err
		}
		mu.Lock()
		conns[c] = true
		mu.Unlock()
		if ctx.Err() != nil { // after it has looked at conns
			_ = c.Close()
		}
		all.Go(func() {
			serveConn(c, site)
			_ = c.Close()
			mu.Lock()
			delete(conns, c)
			mu.Unlock()
			<-slots
		})
	}
}

// serveConn answers the requests of a connection.
func serveConn(c net.Conn, site fs.FS) {
	r := bufio.NewReaderSize(c, headMax)
	w := bufio.NewWriterSize(c, 64<<10)
	for {
		_ = c.SetDeadline(time.Now().Add(idleMax))
		q, err := readRequest(r)
		if errors.Is(err, errRequest) {
			_ = head(w, 400, "text/plain; charset=utf-8", 0, false)
			_ = w.Flush()
			return
		} else if err != nil {
			return
		}
		_ = c.SetDeadline(time.Now().Add(answerMax))
		if q.answer(w, site) != nil || w.Flush() != nil || !q.stays {
			return
		}
	}
}

// httpRequest is as much of a request as matters for a file.
type httpRequest struct {
	method, path string
	stays        bool // the connection, for the next one
}

var errRequest = errors.New("webserver: no request of HTTP/1")

// readRequest reads a request without a body.
func readRequest(r *bufio.Reader) (q httpRequest, err error) {
	size := 0
	line := func() string {
		var b []byte
		if err == nil {
			if b, err = r.ReadSlice('\n'); errors.Is(err, bufio.ErrBufferFull) {
				err = errRequest
			}
		}
		if size += len(b); size > headMax {
			err = errRequest
		}
		return strings.TrimRight(string(b), "\r\n")
	}
	words := strings.Split(line(), " ")
	if err != nil {
		return q, err
	}
	if len(words) != 3 || !strings.HasPrefix(words[2], "HTTP/1.") || !strings.HasPrefix(words[1], "/") {
		return q, errRequest
	}
	q.method, q.stays = words[0], words[2] != "HTTP/1.0"
	q.path, _, _ = strings.Cut(words[1], "?")
	for {
		h := line()
		if err != nil {
			return q, err
		}
		if h == "" {
			return q, nil
		}
		name, value, _ := strings.Cut(h, ":")
		value = strings.TrimSpace(value)
		switch strings.ToLower(name) {
		case "connection":
			q.stays = q.stays && !strings.EqualFold(value, "close")
		case "content-length", "transfer-encoding":
			if value != "0" {
				return q, errRequest
			}
		}
	}
}

// answer sends the file, or says why there is none.
func (q *httpRequest) answer(w io.Writer, site fs.FS) error {
	if q.method != "GET" && q.method != "HEAD" {
		return head(w, 405, "text/plain; charset=utf-8", 0, q.stays)
	}
	name := strings.TrimPrefix(path.Clean(q.path), "/")
	if name == "" {
		name = "index.html"
	}
	kind := types[path.Ext(name)]
	f, err := site.Open(name)
	if err == nil {
		defer f.Close()
	}
	var info fs.FileInfo
	if err == nil {
		info, err = f.Stat()
	}
	if err != nil || kind == "" || !info.Mode().IsRegular() {
		const text = "there is no such file\n"
		err := head(w, 404, "text/plain; charset=utf-8", int64(len(text)), q.stays)
		if err != nil || q.method == "HEAD" {
			return err
		}
		_, err = io.WriteString(w, text)
		return err
	}
	if err := head(w, 200, kind, info.Size(), q.stays); err != nil || q.method == "HEAD" {
		return err
	}
	_, err = io.CopyN(w, f, info.Size())
	return err
}

var statuses = map[int]string{200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed"}

// head writes what comes before a file. Nothing is to be kept: the next msgr may have other files.
func head(w io.Writer, status int, kind string, size int64, stays bool) error {
	connection := "close"
	if stays {
		connection = "keep-alive"
	}
	_, err := fmt.Fprintf(w, "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %d\r\nCache-Control: no-store\r\n"+
		"X-Content-Type-Options: nosniff\r\nConnection: %s\r\n\r\n", status, statuses[status], kind, size, connection)
	return err
}
