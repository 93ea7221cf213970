package main

import (
	"fmt"
	"io"

	"github.com/asyncmsgr/asyncmsgr/connection/auth/tlsauth"
)

// certIssueCmd issues a certificate.
type certIssueCmd struct {
	Dir   string `required:"" placeholder:"DIR" help:"The authority's folder."`
	Name  string `required:"" placeholder:"NAME" help:"Whose certificate it is, such as osd.3 or client.admin."`
	Days  int    `default:"365" help:"For how many days it is valid (${default}), but not longer than the authority."`
	Out   string `placeholder:"DIR" help:"Where NAME.pem and NAME.key are written (the authority's folder)."`
	Force bool   `help:"Replace a certificate and its key. To keep the key there is msgr cert renew."`
}

// Help is shown by msgr cert issue --help.
func (certIssueCmd) Help() string {
	return `Examples:
  msgr cert issue --dir ca --name osd.3
  msgr cert issue --dir ca --name client.admin --days 30 --out /etc/msgr`
}

// Run issues the certificate with a new key.
func (c *certIssueCmd) Run(w io.Writer) error {
	name, err := parseCertName(c.Name)
	if err != nil {
		return err
	}
	from, to, err := lifetime(c.Days)
	if err != nil {
		return err
	}
	out := c.Out
	if out == "" {
		out = c.Dir
	}
	certFile, keyFile := pairFiles(name)
	if err := absent(c.Force, certFile.in(out), keyFile.in(out)); err != nil {
		return err
	}
	ca, err := readAuthority(c.Dir)
	if err != nil {
		return err
	}
	pair, err := ca.Issue(name, from, to, nil)
	if err != nil {
		return err
	}
	cert, key, err := tlsauth.EncodePEM(pair)
	if err != nil {
		return err
	}
	// A messenger that looks in between finds a pair that does not match, and keeps its old one.
	if err := replaceFile(keyFile.in(out), key, modeKey); err != nil {
		return err
	}
	if err := replaceFile(certFile.in(out), cert, modeCert); err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s: %s, until %s (CertFile)\n%s: its key (KeyFile)\n",
		certFile.in(out), name, day(pair.Leaf.NotAfter), keyFile.in(out))
	return err
}
