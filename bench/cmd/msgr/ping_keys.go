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

// keys are who ping is by its flags; nil: it has none, and uses AUTH_NONE. Files are read:
// what is wrong with them is an error.
func (c pingCmd) keys() (*tlsauth.Auth, error) {
	var missing, given []string
	for _, f := range []struct{ flag, file string }{{"--cert", c.Cert}, {"--key", c.Key}, {"--ca", c.CA}} {
		if f.file == "" {
			missing = append(missing, f.flag)
		} else {
			given = append(given, f.flag)
		}
	}
	switch {
	case c.SecretFile != "" && len(given) > 0:
		return nil, fmt.Errorf("--secret-file and %s: give one or the other", strings.Join(given, ", "))
	case c.SecretFile != "":
		return c.secretKeys()
	case c.Name != "":
		return nil, errors.New("--name goes with --secret-file; otherwise the name is that of the certificate")
	case len(given) == 0:
		return nil, nil
	case len(missing) > 0:
		return nil, fmt.Errorf("--cert, --key and --ca go together: %s is missing", strings.Join(missing, ", "))
	}
	return tlsauth.New(tlsauth.Config{CertFile: c.Cert, KeyFile: c.Key, CAFile: c.CA})
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

// useKeys makes a configuration that of the owner of keys; nil leaves it.
func useKeys(cfg *async.Config, a *tlsauth.Auth) {
	if a == nil {
		return
	}
	cfg.AuthClient, cfg.AuthServer = a.Client(), a.Server()
	// A client has no number here, nor has a daemon whose id is none, such as mds.a. An OSD
	// has to say the one that it proves.
	if n := a.Name(); n.Type != entity.TypeClient {
		cfg.Name.Type = n.Type
		if num, err := strconv.ParseInt(n.ID, 10, 64); err == nil {
			cfg.Name.Num = num
		}
	}
}

// identity says in a line how a connection is protected and who the peer is, which with a
// shared secret is no more than that it has that; "" if it is not protected.
func identity(a *entity.Authenticated, shared bool) string {
	if a.Mode != auth.ModeSecure {
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
