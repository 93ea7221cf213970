package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/mon"
	"github.com/asyncmsgr/asyncmsgr/async/mon/conf"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
	"github.com/asyncmsgr/asyncmsgr/connection/auth/cephx"
)

// login is who asks, and where the monitors are, by the flags and the ceph.conf.
func (c *cephCmd) login(ctx context.Context) (login mon.Login, mons []entity.AddrVec, err error) {
	login.Messenger.Logger = slog.New(slog.DiscardHandler) // the error says what went wrong last
	if login.Name, err = entity.ParseAuthName(c.Name); err != nil || login.Name.Type != entity.TypeClient {
		return login, nil, fmt.Errorf("--name: %s is no client; give one such as client.admin", c.Name)
	}
	switch c.Mode {
	case "crc":
		login.Modes = []uint32{auth.ModeCRC}
	case "secure":
		login.Modes = []uint32{auth.ModeSecure}
	}
	f, err := os.Open(c.Conf)
	if err != nil {
		return login, nil, notThere(err, "give the cluster's ceph.conf by --conf")
	}
	defer f.Close()
	file, err := conf.Parse(f)
	if err != nil {
		return login, nil, fmt.Errorf("%s: %w", c.Conf, err)
	}
	hosts, err := file.MonHosts(login.Name)
	if err != nil {
		return login, nil, fmt.Errorf("%s: %w", c.Conf, err)
	}
	if mons, err = c.resolve(ctx, hosts); err != nil {
		return login, nil, err
	}
	if c.Keyring == "" && !file.Wants(login.Name, "cephx") {
		return login, mons, nil
	}
	paths := file.Keyrings(cluster(c.Conf), login.Name)
	if c.Keyring != "" {
		paths = []string{c.Keyring}
	}
	login.Key, err = c.key(login.Name, paths)
	return login, mons, err
}

// resolve makes addresses of the names of monitors.
func (c *cephCmd) resolve(ctx context.Context, hosts []conf.Host) (mons []entity.AddrVec, err error) {
	for _, h := range hosts {
		if h.Addrs != nil {
			mons = append(mons, h.Addrs)
			continue
		}
		looking, cancel := context.WithTimeout(ctx, lookupMax)
		ips, err := systemResolver.lookup(looking, h.Name)
		cancel()
		if err != nil {
			return nil, fmt.Errorf("%s: mon_host: %w", c.Conf, err)
		}
		for _, ip := range ips {
			mons = append(mons, entity.AddrVec{{Type: entity.AddrMsgr2,
				AddrPort: netip.AddrPortFrom(ip.Unmap(), h.Port)}})
		}
	}
	return mons, nil
}

// key is that of an entity, of the first of the keyrings that is there.
func (c *cephCmd) key(name entity.AuthName, paths []string) (cephx.Key, error) {
	for _, path := range paths {
		f, err := os.Open(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		ring, err := cephx.ReadKeyring(f)
		_ = f.Close() // nothing was written
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		key, err := ring.Find(name)
		if err != nil {
			return nil, fmt.Errorf("%s: %w; choose by --name", path, err)
		}
		return key, nil
	}
	return nil, fmt.Errorf("there is no keyring of %s, which might be %q; give one by --keyring", name, paths)
}
