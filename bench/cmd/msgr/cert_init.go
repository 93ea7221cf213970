package main

import (
	"fmt"
	"io"
	"os"

	"github.com/asyncmsgr/asyncmsgr/bench/internal/command"
	"github.com/asyncmsgr/asyncmsgr/connection/auth/tlsauth"
)

// certInitCmd makes an authority.
type certInitCmd struct {
	Dir       string `required:"" placeholder:"DIR" help:"The authority's folder, which is made."`
	Authority string `default:"msgr authority" placeholder:"TEXT" help:"What the authority is called (\"${default}\")."`
	Days      int    `default:"3650" help:"For how many days it is valid (${default})."`
	Force     bool   `help:"Replace an authority. Certificates of the old one are worth nothing then."`
}

// Help is shown by msgr cert init --help.
func (certInitCmd) Help() string {
	return `Examples:
  msgr cert init --dir ca
  msgr cert init --dir ca --authority "the lab" --days 365`
}

// authorityNameMax bounds the name of an authority, in bytes (RFC 5280, ub-common-name).
const authorityNameMax = 64

// Run makes the authority's two files.
func (c *certInitCmd) Run(w io.Writer) error {
	from, to, err := lifetime(c.Days)
	if err != nil {
		return err
	}
	if n := len(c.Authority); n == 0 || n > authorityNameMax {
		return command.Usage(fmt.Errorf("--authority has %d bytes: not in 1..%d", n, authorityNameMax))
	}
	if err := absent(c.Force, caCert.in(c.Dir), caKey.in(c.Dir)); err != nil {
		return err
	}
	ca, err := tlsauth.NewAuthority(c.Authority, from, to, nil)
	if err != nil {
		return err
	}
	cert, key, err := ca.PEM()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(c.Dir, modeDir); err != nil {
		return err
	}
	if err := replaceFile(caKey.in(c.Dir), key, modeKey); err != nil {
		return err
	}
	if err := replaceFile(caCert.in(c.Dir), cert, modeCert); err != nil {
		return err
	}
	_, err = fmt.Fprintf(w,
		"%s: the authority, until %s; give it to all messengers (CAFile)\n%s: its key; give it to nobody\n",
		caCert.in(c.Dir), day(ca.Certificate().NotAfter), caKey.in(c.Dir))
	return err
}
