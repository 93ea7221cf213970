// Command object writes an object to a Ceph cluster and reads it back:
//
//	object /etc/ceph/ceph.conf /etc/ceph/ceph.client.admin.keyring POOL
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/mon"
	"github.com/asyncmsgr/asyncmsgr/async/mon/conf"
	"github.com/asyncmsgr/asyncmsgr/async/osd"
	"github.com/asyncmsgr/asyncmsgr/connection/auth/cephx"
)

func main() {
	if len(os.Args) != 4 {
		log.Fatal("usage: object CONF KEYRING POOL")
	}
	if err := run(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		log.Fatal(err)
	}
}

func run(confFile, keyringFile, pool string) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	mons, err := monitors(confFile)
	if err != nil {
		return err
	}
	login, err := admin(keyringFile)
	if err != nil {
		return err
	}
	cluster, err := mon.Open(mon.Config{Mons: mons}, login)
	if err != nil {
		return err
	}
	defer cluster.Close()
	objects, err := osd.New(cluster, osd.Config{})
	if err != nil {
		return err
	}
	if err := objects.Write(ctx, pool, "greeting", []byte("hello")); err != nil {
		return err
	}
	data, err := objects.Read(ctx, pool, "greeting")
	if err != nil {
		return err
	}
	fmt.Printf("%s/greeting of cluster %s: %s\n", pool, cluster.MonMap().FSID, data)
	return nil
}

func monitors(file string) (mons []entity.AddrVec, err error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	c, err := conf.Parse(f)
	if err != nil {
		return nil, err
	}
	hosts, err := c.MonHosts(entity.AuthName{Type: entity.TypeClient, ID: "admin"})
	for _, h := range hosts {
		if h.Addrs != nil { // otherwise it is a name, which would have to be resolved
			mons = append(mons, h.Addrs)
		}
	}
	return mons, err
}

func admin(keyringFile string) (login mon.Login, err error) {
	f, err := os.Open(keyringFile)
	if err != nil {
		return login, err
	}
	defer f.Close()
	ring, err := cephx.ReadKeyring(f)
	if err != nil {
		return login, err
	}
	login.Name = entity.AuthName{Type: entity.TypeClient, ID: "admin"}
	login.Key, err = ring.Find(login.Name)
	return login, err
}
