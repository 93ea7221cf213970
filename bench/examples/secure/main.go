// Command secure is what the README says on security: messengers with keys, from a secret
// that they share, and from files that msgr cert makes.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/netip"
	"os"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
	"github.com/asyncmsgr/asyncmsgr/connection/auth/tlsauth"
)

// The bodies of the next two functions are in the README.

// withSecret is an OSD that has a secret in common with all its peers.
func withSecret() *async.Messenger {
	secret := must(os.ReadFile("cluster.secret")) // 16 random bytes or more, the same for all
	name := entity.AuthName{Type: entity.TypeOSD, ID: "3"}
	keys := must(tlsauth.SharedSecret(name, secret))
	osd := must(async.New(async.Config{Name: entity.OSD(3), AuthClient: keys.Client(), AuthServer: keys.Server()}))
	return osd
}

// withCertificates is an OSD that has a certificate for its name.
func withCertificates() *async.Messenger {
	keys := must(tlsauth.New(tlsauth.Config{CertFile: "osd.3.pem", KeyFile: "osd.3.key", CAFile: "ca.pem"}))
	osd := must(async.New(async.Config{Name: entity.OSD(3), AuthClient: keys.Client(), AuthServer: keys.Server()}))
	return osd
}

func main() {
	defer inFolderOfKeys()()
	secret := must(os.ReadFile("cluster.secret"))
	admin := entity.AuthName{Type: entity.TypeClient, ID: "admin"}
	greet(withSecret(), must(tlsauth.SharedSecret(admin, secret)))
	files := tlsauth.Config{CertFile: "client.admin.pem", KeyFile: "client.admin.key", CAFile: "ca.pem"}
	greet(withCertificates(), must(tlsauth.New(files)))
}

// greet has a client with those keys talk to an OSD.
func greet(osd *async.Messenger, keys *tlsauth.Auth) {
	osd.SetDefaultPolicy(msg.StatefulServer())
	greeted := make(greeting, 1)
	osd.AddDispatcherTail(greeted)
	check(osd.Bind(netip.MustParseAddrPort("127.0.0.1:0")))
	check(osd.Start())

	client := must(async.New(async.Config{AuthClient: keys.Client(), AuthServer: keys.Server()}))
	client.SetDefaultPolicy(msg.LosslessClient())
	check(client.Start())
	conn := must(client.ConnectTo(entity.TypeOSD, osd.Addrs()))
	check(conn.Send(&msg.Message{Type: 1000, Data: []byte("hello")}))
	peer, it := (<-greeted).Authenticated(), conn.Authenticated()
	fmt.Printf("%s talks with %s: %s, %s mode\n", peer.Name, it.Name,
		auth.MethodName(it.Method), auth.ModeName(it.Mode))

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	check(errors.Join(client.Drain(ctx), osd.Drain(ctx)))
}

// greeting hands over the connections that messages come by.
type greeting chan msg.Connection

func (g greeting) Dispatch(m *msg.Message) bool { g <- m.Connection(); return true }

// inFolderOfKeys makes a folder with a secret and with what msgr cert makes, and goes
// there; the function that it returns leaves it.
func inFolderOfKeys() (leave func()) {
	was, dir := must(os.Getwd()), must(os.MkdirTemp("", "keys"))
	check(os.Chdir(dir))
	put := func(name string, text []byte) { check(os.WriteFile(name, text, 0o600)) }
	put("cluster.secret", []byte("not as random as it ought to be"))
	from := time.Now().Add(-time.Minute)
	to := from.Add(time.Hour)
	ca := must(tlsauth.NewAuthority("example", from, to, nil))
	cert, _, err := ca.PEM()
	check(err)
	put("ca.pem", cert)
	for _, name := range []string{"osd.3", "client.admin"} {
		pair := must(ca.Issue(must(tlsauth.ParseName(name)), from, to, nil))
		cert, key, err := tlsauth.EncodePEM(pair)
		check(err)
		put(name+".pem", cert)
		put(name+".key", key)
	}
	return func() { check(errors.Join(os.Chdir(was), os.RemoveAll(dir))) }
}

func must[T any](v T, err error) T { check(err); return v }

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
