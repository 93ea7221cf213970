package mon_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/mon"
	"github.com/asyncmsgr/asyncmsgr/async/mon/conf"
	"github.com/asyncmsgr/asyncmsgr/connection/auth/cephx"
)

// The state of a cluster, by its ceph.conf and a keyring.
func Example() {
	name := entity.AuthName{Type: entity.TypeClient, ID: "admin"}
	f, err := os.Open("/etc/ceph/ceph.conf")
	check(err)
	file, err := conf.Parse(f)
	check(err)
	hosts, err := file.MonHosts(name)
	check(err)
	var mons []entity.AddrVec
	for _, h := range hosts {
		if h.Addrs != nil { // otherwise it is a name, which would have to be resolved
			mons = append(mons, h.Addrs)
		}
	}
	keys, err := os.Open(file.Keyrings("ceph", name)[0])
	check(err)
	ring, err := cephx.ReadKeyring(keys)
	check(err)
	key, err := ring.Find(name)
	check(err)

	cluster, err := mon.Open(mon.Config{Mons: mons}, mon.Login{Name: name, Key: key})
	check(err)
	defer cluster.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	answer, err := cluster.Command(ctx, `{"prefix":"status"}`, nil)
	check(err)
	fmt.Printf("%s", answer.Output)
}

func check(err error) {
	if err != nil {
		log.Panic(err)
	}
}
