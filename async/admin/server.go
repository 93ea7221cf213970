package admin

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/rpc"
	"github.com/asyncmsgr/asyncmsgr/async/stream"
)

// Bounds.
const (
	// ConnsMax is how many clients are answered at a time; at the bound further ones wait in the
	// listener's line.
	ConnsMax = 8
	// CommandMax is the longest command, in bytes; a longer one is refused.
	CommandMax = 64 << 10
	// AnswerMax is the longest answer, in bytes; in place of a longer one there is an error.
	AnswerMax = 64 << 20
	// DefaultTimeout is the default of Config.Timeout.
	DefaultTimeout = 5 * time.Second
)

// Config configures a Server. Path and Messengers are required.
type Config struct {
	// Path is where the socket is made. What a process that ended has left there is replaced;
	// a socket that somebody listens on, and anything that is no socket, is an error. It is
	// at most 107 bytes, the system's bound.
	Path string
	// Messengers are those that are told of, by their names; if two have one name, the second
	// is "name#2".
	Messengers []*async.Messenger
	// Nodes and Muxes count calls and streams: their Stats are among the counters of perf dump, as
	// rpc-NAME and stream-NAME, NAME being their messenger's; a second one of a messenger is
	// rpc-NAME#2. One whose messenger is not among Messengers is an error.
	Nodes []*rpc.Node
	Muxes []*stream.Mux
	// Version is what the command version says.
	Version string
	// Level, if set, is the level of the program's log, which config set log_level changes.
	Level *slog.LevelVar
	// Commands are the program's own. A name that is taken is an error.
	Commands []Command
	// Timeout bounds how long a client may take to write its command, and to read the answer,
	// each; 0 means DefaultTimeout.
	Timeout time.Duration
	// Logger; nil means slog.Default(). It is told of each change of a setting.
	Logger *slog.Logger

	answerMax int // 0: AnswerMax; for tests
}

// Server answers commands. All methods may be called by any goroutine.
type Server struct {
	*desk
	cfg   Config
	l     *net.UnixListener
	inode os.FileInfo   // of the socket, as it was made
	slots chan struct{} // one for each client

	mu     sync.Mutex
	closed bool
	conns  map[net.Conn]bool
	ended  sync.WaitGroup
}

// ErrInUse: a process that lives listens at Config.Path.
var ErrInUse = errors.New("admin: the socket is in use")

// Listen makes the socket and answers, on goroutines of its own, until Close.
func Listen(cfg Config) (*Server, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = DefaultTimeout
	}
	if cfg.answerMax == 0 {
		cfg.answerMax = AnswerMax
	}
	d, err := newDesk(&cfg)
	if err != nil {
		return nil, err
	}
	l, err := listen(cfg.Path)
	if err != nil {
		return nil, err
	}
	s := &Server{desk: d, cfg: cfg, l: l, slots: make(chan struct{}, ConnsMax), conns: map[net.Conn]bool{}}
	if s.inode, err = os.Stat(cfg.Path); err != nil {
		l.Close()
		return nil, fmt.Errorf("admin: %w", err)
	}
	s.ended.Go(s.accept)
	return s, nil
}

// listen makes the socket. It is made under another name, so that nobody can open it before it
// has its permissions, nor find one that nobody listens on.
func listen(path string) (*net.UnixListener, error) {
	if err := mayReplace(path); err != nil {
		return nil, err
	}
	temp := fmt.Sprintf("%s.%d", path, os.Getpid())
	_ = os.Remove(temp) // of a process that had this number
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: temp, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("admin: %w", err)
	}
	l.SetUnlinkOnClose(false)
	err = os.Chmod(temp, 0o600)
	if err == nil {
		err = os.Rename(temp, path)
	}
	if err != nil {
		l.Close()
		_ = os.Remove(temp)
		return nil, fmt.Errorf("admin: %w", err)
	}
	return l, nil
}

// mayReplace returns an error unless there is nothing at path, or a socket that nobody listens on.
func mayReplace(path string) error {
	fi, err := os.Lstat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("admin: %w", err)
	case fi.Mode().Type() != os.ModeSocket:
		return fmt.Errorf("admin: %s is there, and no socket", path)
	}
	c, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		c.Close()
		return fmt.Errorf("%w: %s", ErrInUse, path)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("%w, as it seems: %s: %w", ErrInUse, path, err)
	}
	return nil
}

// Path is where the socket is.
func (s *Server) Path() string { return s.cfg.Path }

// Close removes the socket and waits until nobody is being answered; what is under way is cut
// off. A second Close returns nil at once.
func (s *Server) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	for c := range s.conns {
		c.Close()
	}
	s.mu.Unlock()
	if fi, err := os.Stat(s.cfg.Path); err == nil && os.SameFile(fi, s.inode) { // and not somebody else's
		_ = os.Remove(s.cfg.Path)
	}
	err := s.l.Close()
	s.ended.Wait()
	if err != nil {
		return fmt.Errorf("admin: %w", err)
	}
	return nil
}

func (s *Server) accept() {
	for {
		s.slots <- struct{}{}
		c, err := s.l.Accept()
		if err != nil {
			<-s.slots
			if errors.Is(err, net.ErrClosed) {
				return
			}
			s.cfg.Logger.Warn("admin: accept failed", "path", s.cfg.Path, "err", err)
			time.Sleep(100 * time.Millisecond) // out of descriptors
			continue
		}
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			c.Close()
			<-s.slots
			return
		}
		s.conns[c] = true
		s.ended.Go(func() { s.serve(c) })
		s.mu.Unlock()
	}
}

func (s *Server) serve(c net.Conn) {
	defer func() {
		c.Close()
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
		<-s.slots
	}()
	_ = c.SetReadDeadline(time.Now().Add(s.cfg.Timeout))
	command, err := readCommand(c)
	var answer []byte
	switch {
	case errors.Is(err, errTooLong):
		answer = refusal(err)
	case err != nil:
		return // it hung up, or said nothing in time
	default:
		answer = s.answer(command)
	}
	_ = c.SetWriteDeadline(time.Now().Add(s.cfg.Timeout))
	_ = writeAnswer(c, answer) // who does not read has no answer
}
