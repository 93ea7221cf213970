package main

import (
	"bufio"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/asyncmsgr/asyncmsgr/bench/internal/command"
	"github.com/asyncmsgr/asyncmsgr/connection/auth/tlsauth"
)

// certShowCmd prints certificates.
type certShowCmd struct {
	Files []string `arg:"" name:"file" help:"Files with certificates, such as osd.3.pem or ca.pem."`
	JSON  bool     `name:"json" help:"Print a JSON array."`
}

// Help is shown by msgr cert show --help.
func (certShowCmd) Help() string {
	return `Examples:
  msgr cert show /etc/osd/osd.3.pem
  msgr cert show --json ca/ca.pem`
}

// Run prints the certificates of each file.
func (c *certShowCmd) Run(w io.Writer) error {
	out, shown := bufio.NewWriter(w), []certJSON{}
	for _, file := range c.Files {
		text, err := readPEM(file, "a file with certificates")
		if err != nil {
			return errors.Join(out.Flush(), err)
		}
		certs, err := tlsauth.ParseCertificates(text)
		if err != nil {
			return errors.Join(out.Flush(), fmt.Errorf("%s: %w", file, err))
		}
		for _, cert := range certs {
			if c.JSON {
				shown = append(shown, certificateJSON(file, cert, certNow()))
				continue
			}
			showCertificate(out, file, cert, certNow())
		}
	}
	if c.JSON {
		return command.WriteJSON(w, shown)
	}
	return out.Flush()
}

// certJSON is a certificate for programs.
type certJSON struct {
	File        string    `json:"file"`
	Name        string    `json:"name"`
	Authority   bool      `json:"authority"`
	NotBefore   time.Time `json:"not_before"`
	NotAfter    time.Time `json:"not_after"`
	Valid       bool      `json:"valid_now"`
	Issuer      string    `json:"issued_by"`
	MeantFor    string    `json:"meant_for"`
	Fingerprint string    `json:"sha256"`
}

func certificateJSON(file string, cert *x509.Certificate, now time.Time) certJSON {
	name := cert.Subject.CommonName
	if n, err := tlsauth.Identify(cert); err == nil && !cert.IsCA {
		name = n.String()
	}
	return certJSON{file, name, cert.IsCA, cert.NotBefore, cert.NotAfter,
		!now.Before(cert.NotBefore) && !now.After(cert.NotAfter), cert.Issuer.CommonName, usages(cert),
		fingerprint(cert)}
}

func showCertificate(w io.Writer, file string, cert *x509.Certificate, now time.Time) {
	fmt.Fprintf(w, "%s: %s\n", file, ownerOf(cert))
	fmt.Fprintf(w, "  valid        %s to %s (%s)\n", day(cert.NotBefore), day(cert.NotAfter), left(cert, now))
	fmt.Fprintf(w, "  issued by    %s\n", strconv.QuoteToGraphic(cert.Issuer.CommonName))
	fmt.Fprintf(w, "  meant for    %s\n", usages(cert))
	fmt.Fprintf(w, "  fingerprint  SHA256 %s\n", fingerprint(cert))
}

// ownerOf says whose certificate it is.
func ownerOf(cert *x509.Certificate) string {
	if cert.IsCA {
		return "authority " + strconv.QuoteToGraphic(cert.Subject.CommonName)
	}
	n, err := tlsauth.Identify(cert)
	if err != nil {
		return strconv.QuoteToGraphic(cert.Subject.CommonName) + ", which is the name of no messenger"
	}
	return n.String()
}

// left says how long a certificate is valid still.
func left(cert *x509.Certificate, now time.Time) string {
	if now.Before(cert.NotBefore) {
		return "NOT YET VALID, in " + roughly(cert.NotBefore.Sub(now))
	}
	return remaining(cert.NotAfter, now)
}

// remaining says how far away the end of a certificate is.
func remaining(end, now time.Time) string {
	if now.After(end) {
		return "EXPIRED " + roughly(now.Sub(end)) + " ago"
	}
	return "another " + roughly(end.Sub(now))
}

// roughly is a duration in days, or in a smaller unit if it is short.
func roughly(d time.Duration) string {
	const day = 24 * time.Hour
	if d >= 2*day {
		return strconv.Itoa(int(d/day)) + " days"
	}
	return d.Truncate(time.Minute).String()
}

func usages(cert *x509.Certificate) string {
	if cert.IsCA {
		return "issuing certificates"
	}
	var sides []string
	for _, u := range []struct {
		usage x509.ExtKeyUsage
		side  string
	}{{x509.ExtKeyUsageClientAuth, "connecting"}, {x509.ExtKeyUsageServerAuth, "accepting"}} {
		if slices.Contains(cert.ExtKeyUsage, u.usage) || slices.Contains(cert.ExtKeyUsage, x509.ExtKeyUsageAny) ||
			len(cert.ExtKeyUsage)+len(cert.UnknownExtKeyUsage) == 0 {
			sides = append(sides, u.side)
		}
	}
	if len(sides) == 0 {
		return "neither connecting nor accepting: no messenger accepts it"
	}
	return strings.Join(sides, " and ")
}

func fingerprint(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.Raw)
	var b strings.Builder
	for i, x := range sum {
		if i > 0 {
			b.WriteByte(':')
		}
		fmt.Fprintf(&b, "%02X", x)
	}
	return b.String()
}
