package workload

import (
	"errors"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// cutAll shuts down every TCP connection of this process, and returns how many
// there were.
func cutAll() (n int, err error) {
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0, err
	}
	for _, f := range files {
		fd, aerr := strconv.Atoi(f.Name())
		if aerr != nil || !connected(fd) {
			continue
		}
		switch serr := unix.Shutdown(fd, unix.SHUT_RDWR); {
		case serr == nil:
			n++
		case !errors.Is(serr, unix.ENOTCONN) && !errors.Is(serr, unix.EBADF) && !errors.Is(serr, unix.ENOTSOCK):
			err = errors.Join(err, os.NewSyscallError("shutdown", serr))
		}
	}
	return n, err
}

// connected is whether fd is a TCP connection.
func connected(fd int) bool {
	typ, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil || typ != unix.SOCK_STREAM {
		return false
	}
	proto, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PROTOCOL)
	if err != nil || proto != unix.IPPROTO_TCP {
		return false
	}
	_, err = unix.Getpeername(fd)
	return err == nil
}
