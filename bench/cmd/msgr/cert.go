package main

import (
	"fmt"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/bench/internal/command"
	"github.com/asyncmsgr/asyncmsgr/connection/auth/tlsauth"
)

// certCmd makes and shows the certificates that messengers prove their names with (the
// method TLS of connection/auth/tlsauth).
type certCmd struct {
	Init  certInitCmd  `cmd:"" help:"Make an authority: a certificate that all messengers trust, and its key."`
	Issue certIssueCmd `cmd:"" help:"Issue a certificate for one messenger, with a new key."`
	Show  certShowCmd  `cmd:"" help:"Print whose certificates these are, and until when."`
	Renew certRenewCmd `cmd:"" help:"Issue a certificate again, for the same name and key."`
}

// Help is shown by msgr cert --help.
func (certCmd) Help() string {
	return `An authority is a folder with two files: ca.pem, which each messenger needs (CAFile), and ca.key, which
none needs: whoever has it can be anybody. Each messenger has a certificate of its own, such as
osd.3.pem (CertFile), and its key, osd.3.key (KeyFile).

Examples:
  msgr cert init --dir ca
  msgr cert issue --dir ca --name osd.3 --out /etc/osd
  msgr cert show /etc/osd/osd.3.pem
  msgr cert renew --dir ca --name osd.3 --out /etc/osd

Keys are Ed25519, and only their owner can read their files. Files are replaced as a whole, never
half-written. A messenger that runs reads its files again when they change.`
}

// certNow is the wall clock; tests set it.
var certNow = time.Now

// certSkew is how far the clocks of messengers may be behind this one.
const certSkew = 5 * time.Minute

// daysMax bounds --days: a hundred years.
const daysMax = 36500

// lifetime is from when to when a certificate is valid that is issued now.
func lifetime(days int) (from, to time.Time, err error) {
	if days < 1 || days > daysMax {
		return from, to, command.Usage(fmt.Errorf("--days is %d: not in 1..%d", days, daysMax))
	}
	now := certNow()
	return now.Add(-certSkew), now.AddDate(0, 0, days), nil
}

// parseCertName reads --name.
func parseCertName(s string) (entity.AuthName, error) {
	n, err := tlsauth.ParseName(s)
	if err != nil {
		return n, command.Usage(fmt.Errorf("--name: %w; give one such as osd.3 or client.admin", err))
	}
	return n, nil
}

// readAuthority reads the authority in a folder.
func readAuthority(dir string) (*tlsauth.Authority, error) {
	cert, err := readPEM(caCert.in(dir), "an authority, which msgr cert init makes")
	if err != nil {
		return nil, err
	}
	key, err := readPEM(caKey.in(dir), "an authority's key, which msgr cert init makes")
	if err != nil {
		return nil, err
	}
	ca, err := tlsauth.ParseAuthority(cert, key)
	if err != nil {
		return nil, fmt.Errorf("%s, %s: %w", caCert.in(dir), caKey.in(dir), err)
	}
	if end := ca.Certificate().NotAfter; certNow().After(end) {
		return nil, fmt.Errorf("%s: the authority expired on %s; make another one with msgr cert init",
			caCert.in(dir), day(end))
	}
	return ca, nil
}

// day is a date in texts.
func day(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }
