package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
	"github.com/asyncmsgr/asyncmsgr/connection/auth/tlsauth"
)

// secretFileMax bounds a file with a secret, in bytes.
const secretFileMax = 64 << 10

// pingName is who msgr ping is with a shared secret, unless told.
const pingName = "client.msgr"

// pingKeys are who ping is by its flags, and what it demands.
type pingKeys struct {
	client auth.Client
	server auth.Server // nil: nobody is let in
	name   entity.AuthName
}

// keys are who ping is by its flags. Files are read: what is wrong with them is an error.
func (c pingCmd) keys() (*pingKeys, error) {
	k, err := c.methodKeys()
	if err != nil || c.Mode == "any" || c.Mode == "" {
		return k, err
	}
	if k.client == nil {
		k.client = auth.NoneClient{Name: entity.AuthName{Type: entity.TypeClient}}
	}
	mode := auth.ModeCRC
	if c.Mode == "secure" {
		mode = auth.ModeSecure
	}
	k.client = auth.Demand{Client: k.client, Modes: []uint32{mode}}
	return k, nil
}

// methodKeys are the keys of the method that the flags are about.
func (c pingCmd) methodKeys() (*pingKeys, error) {
	var missing, given []string
	for _, f := range []struct{ flag, file string }{{"--cert", c.Cert}, {"--key", c.Key}, {"--ca", c.CA}} {
		if f.file == "" {
			missing = append(missing, f.flag)
		} else {
			given = append(given, f.flag)
		}
	}
	method, by := "none", ""
	for _, f := range []struct {
		flags, method string
		given         bool
	}{
		{"--keyring", "cephx", c.Keyring != ""}, {"--secret-file", "tls", c.SecretFile != ""},
		{strings.Join(given, ", "), "tls", len(given) > 0},
	} {
		switch {
		case !f.given:
		case c.Auth != "auto" && c.Auth != "" && c.Auth != f.method:
			return nil, fmt.Errorf("--auth %s has no %s: that goes with --auth %s", c.Auth, f.flags, f.method)
		case method != "none":
			return nil, fmt.Errorf("%s and %s: give one or the other", by, f.flags)
		default:
			method, by = f.method, f.flags
		}
	}
	switch {
	case c.Auth == "cephx" && c.Keyring == "":
		return nil, errors.New("--auth cephx needs --keyring FILE, such as /etc/ceph/ceph.client.admin.keyring")
	case c.Auth == "tls" && method == "none":
		return nil, errors.New("--auth tls needs --secret-file, or --cert, --key and --ca")
	case c.Keyring != "":
		return c.cephxKeys()
	case c.SecretFile != "":
		return tlsKeys(c.secretKeys())
	case c.Name != "":
		return nil, errors.New("--name goes with --secret-file or --keyring; " +
			"otherwise the name is that of the certificate")
	case len(given) == 0:
		return &pingKeys{}, nil
	case len(missing) > 0:
		return nil, fmt.Errorf("--cert, --key and --ca go together: %s is missing", strings.Join(missing, ", "))
	}
	return tlsKeys(tlsauth.New(tlsauth.Config{CertFile: c.Cert, KeyFile: c.Key, CAFile: c.CA}))
}

func tlsKeys(a *tlsauth.Auth, err error) (*pingKeys, error) {
	if err != nil {
		return nil, err
	}
	return &pingKeys{client: a.Client(), server: a.Server(), name: a.Name()}, nil
}

func (c pingCmd) secretKeys() (*tlsauth.Auth, error) {
	name := c.Name
	if name == "" {
		name = pingName
	}
	self, err := tlsauth.ParseName(name)
	if err != nil {
		return nil, fmt.Errorf("--name: %w; give one such as client.admin", err)
	}
	secret, err := readSecret(c.SecretFile)
	if err != nil {
		return nil, err
	}
	return tlsauth.SharedSecret(self, secret)
}

// readSecret reads a secret: all bytes of a file, as a program does by os.ReadFile. What
// is in it goes into no error.
func readSecret(file string) (tlsauth.Secret, error) {
	bad := func(reason error, advice string) (tlsauth.Secret, error) {
		if path, ok := errors.AsType[*fs.PathError](reason); ok {
			reason = path.Err // the FileError has the path
		}
		return nil, &tlsauth.FileError{File: file, Reason: reason, Advice: advice}
	}
	f, err := os.Open(file)
	if err != nil {
		return bad(err, "")
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, secretFileMax+1))
	switch {
	case err != nil:
		return bad(err, "")
	case len(b) > secretFileMax:
		return bad(fmt.Errorf("more than %d bytes: that is no secret", secretFileMax), "")
	case len(b) < tlsauth.SecretMin:
		return bad(fmt.Errorf("%w: %d bytes, not %d or more", tlsauth.ErrSecretShort, len(b), tlsauth.SecretMin),
			"32 random bytes are a good one (head -c 32 /dev/urandom)")
	}
	return b, nil
}

// use makes a configuration that of the owner of the keys.
func (k *pingKeys) use(cfg *async.Config) {
	if k.client == nil {
		return
	}
	cfg.AuthClient, cfg.AuthServer = k.client, k.server
	// A client has no number here, nor has a daemon whose id is none, such as mds.a. An OSD
	// has to say the one that it proves.
	if n := k.name; n.Type != 0 && n.Type != entity.TypeClient {
		cfg.Name.Type = n.Type
		if num, err := strconv.ParseInt(n.ID, 10, 64); err == nil {
			cfg.Name.Num = num
		}
	}
}

// identity says in a line how a connection is protected and who the peer is, which with a
// shared secret is no more than that it has that; "" if it is not protected.
func identity(a *entity.Authenticated, shared bool) string {
	if a.Mode != auth.ModeSecure && a.Method != auth.MethodCephX {
		return ""
	}
	s := fmt.Sprintf("%s, %s mode", auth.MethodName(a.Method), auth.ModeName(a.Mode))
	if state, ok := a.Proof.(*tls.ConnectionState); ok {
		s += fmt.Sprintf(" (TLS 1.3, %s)", state.CurveID)
	}
	switch {
	case a.Proved && shared:
		s += ": the peer, " + a.Name.String() + ", has the secret"
	case a.Proved:
		s += ": the peer proved to be " + a.Name.String()
	}
	if !a.Expires.IsZero() {
		s += fmt.Sprintf("; its certificate expires %s (%s)", day(a.Expires), remaining(a.Expires, certNow()))
	}
	return s
}
