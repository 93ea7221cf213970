//go:build linux && (amd64 || arm64 || loong64)

package netpollstack

import (
	"errors"
	"net/netip"
	"os"
	"syscall"
	"time"

	"github.com/asyncmsgr/asyncmsgr/eventloop"
	"golang.org/x/sys/unix"
)

// dialing is what a transport needs only while it connects.
type dialing struct {
	t     *transport
	timer eventloop.Timer // DialConfig.Timeout
}

// HandleTimer implements eventloop.TimerHandler.
func (d *dialing) HandleTimer(time.Duration) { d.t.fail(eventloop.ErrDialTimeout) }

// Dial implements eventloop.Worker.
func (w *worker) Dial(remote netip.AddrPort, cfg eventloop.DialConfig, h eventloop.Handler) eventloop.Transport {
	t := &transport{w: w, h: h, local: cfg.Local, remote: remote, state: connecting, fd: -1,
		unsent: unsentOf(cfg.Socket)}
	to, family, err := toSockaddr(remote)
	fd := -1
	if err == nil {
		t.remote = fromSockaddr(to)
		fd, err = startConnect(to, family, cfg)
	}
	if err == nil {
		// EPOLLOUT, with or without EPOLLERR, says that connect has ended.
		if err = t.watch(fd, watchWrite); err != nil {
			unix.Close(fd)
		}
	}
	if err != nil {
		t.failLater(err)
		return t
	}
	t.full = true // until then
	t.dial = &dialing{t: t}
	if cfg.Timeout > 0 {
		t.dial.timer.Init(t.dial)
		w.timers.Set(&t.dial.timer, w.now+cfg.Timeout)
	}
	return t
}

// startConnect opens a socket and begins to connect it.
func startConnect(to unix.Sockaddr, family int, cfg eventloop.DialConfig) (int, error) {
	fd, err := openSocket(family, cfg.Socket)
	if err != nil {
		return -1, err
	}
	if cfg.Local.IsValid() {
		err = bindLocal(fd, family, cfg.Local)
	}
	if err == nil {
		err = os.NewSyscallError("connect", unix.Connect(fd, to))
		if errors.Is(err, syscall.EINPROGRESS) || errors.Is(err, syscall.EINTR) {
			err = nil
		}
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func bindLocal(fd, family int, local netip.AddrPort) error {
	from, localFamily, err := toSockaddr(local)
	if err != nil {
		return err
	}
	if localFamily != family {
		return os.NewSyscallError("bind", syscall.EAFNOSUPPORT)
	}
	if local.Port() == 0 {
		// Let connect choose the port, when it knows the peer: otherwise every
		// port could be used for one connection only. Old kernels don't know it.
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
	} else if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	return os.NewSyscallError("bind", unix.Bind(fd, from))
}

// finishConnect handles the end of connect.
func (t *transport) finishConnect() {
	fd := int(t.fd)
	if err := socketError(fd, "connect"); err != nil {
		t.fail(err)
		return
	}
	t.local = localAddr(fd)
	if t.local.Port() == t.remote.Port() && t.local == peerAddr(fd) {
		// A port in the range of outgoing ones with nobody listening can connect
		// to itself, also by a name like 0.0.0.0.
		t.fail(os.NewSyscallError("connect", syscall.ECONNREFUSED))
		return
	}
	t.w.timers.Stop(&t.dial.timer)
	t.dial, t.state, t.full = nil, open, false
	t.update()
	if t.wanting {
		t.queue()
	}
	t.h.HandleConnected(t)
}
