package main

import (
	"crypto"
	"fmt"
	"io"
	"math"

	"github.com/asyncmsgr/asyncmsgr/connection/auth/tlsauth"
)

// certRenewCmd issues a certificate again.
type certRenewCmd struct {
	Dir  string `required:"" placeholder:"DIR" help:"The authority's folder."`
	Name string `required:"" placeholder:"NAME" help:"Whose certificate it is, such as osd.3 or client.admin."`
	Days int    `placeholder:"N" help:"For how many days it is valid (as many as the old one), but not longer than the authority."`
	Out  string `placeholder:"DIR" help:"Where NAME.pem and NAME.key are (the authority's folder)."`
}

// Help is shown by msgr cert renew --help.
func (certRenewCmd) Help() string {
	return `The key stays, so that one file changes and not two: at no time is there a certificate without its
key. For another key there is msgr cert issue --force.

Examples:
  msgr cert renew --dir ca --name osd.3
  msgr cert renew --dir ca --name osd.3 --out /etc/osd --days 30`
}

// Run replaces the certificate.
func (c *certRenewCmd) Run(w io.Writer) error {
	name, err := parseCertName(c.Name)
	if err != nil {
		return err
	}
	if c.Days != 0 {
		if _, _, err := lifetime(c.Days); err != nil {
			return err
		}
	}
	out := c.Out
	if out == "" {
		out = c.Dir
	}
	certFile, keyFile := pairFiles(name)
	certText, err := readPEM(certFile.in(out), "a certificate, which msgr cert issue makes")
	if err != nil {
		return err
	}
	keyText, err := readPEM(keyFile.in(out), "its key, which msgr cert issue makes")
	if err != nil {
		return err
	}
	old, err := tlsauth.ParsePair(certText, keyText)
	if err != nil {
		return fmt.Errorf("%s, %s: %w", certFile.in(out), keyFile.in(out), err)
	}
	was, err := tlsauth.Identify(old.Leaf)
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", certFile.in(out), err)
	case was != name:
		return fmt.Errorf("%s is a certificate for %s, not for %s; issue one with msgr cert issue --force",
			certFile.in(out), was, name)
	}
	days := c.Days
	if days == 0 {
		life := old.Leaf.NotAfter.Sub(old.Leaf.NotBefore).Hours() / 24
		days = int(max(1, min(daysMax, math.Round(life))))
	}
	from, to, err := lifetime(days)
	if err != nil {
		return err
	}
	ca, err := readAuthority(c.Dir)
	if err != nil {
		return err
	}
	pair, err := ca.IssueFor(name, old.PrivateKey.(crypto.Signer), from, to, nil)
	if err != nil {
		return err
	}
	text, _, err := tlsauth.EncodePEM(pair)
	if err != nil {
		return err
	}
	if err := replaceFile(certFile.in(out), text, modeCert); err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s: %s, until %s (before: %s)\n", certFile.in(out), name, day(pair.Leaf.NotAfter),
		day(old.Leaf.NotAfter))
	return err
}
