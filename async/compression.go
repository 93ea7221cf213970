package async

import (
	"fmt"
	"slices"

	"github.com/asyncmsgr/asyncmsgr/async/compress"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/connection/session"
)

// Compression says what is compressed on the wire, and with whom. The zero value: nothing. A
// peer takes part if it is configured to as well, a messenger of this library or a daemon of Ceph
// 17 or newer; with others the connection is as it is without. ConnStats.Compression says what was
// agreed on, and Uncompressed why nothing was.
type Compression struct {
	// Algorithms are the names of those that this side offers, the preferred one first:
	// "zlib", and what async/compress/codecs registers when it is imported, "snappy", "zstd"
	// and "lz4". Who opens the connection decides by his order. Empty: nothing is compressed.
	Algorithms []string
	// MinSize is how many bytes of segments a frame must have to be compressed; 0 means 1024.
	// A message has 41 more than its payload.
	MinSize int
	// PeerTypes are the types of peers with which it is used; empty: all.
	PeerTypes []entity.Type
	// WithSecure compresses in secure mode too. The length of what is sealed can be seen, and how
	// well something was compressed shows in it: who can have a text of his own put into the same
	// message as a secret can guess at the secret. So it is not done unless asked for.
	WithSecure bool
}

// session is c with the algorithms in place of their names.
func (c *Compression) session() (s session.Compression, err error) {
	s = session.Compression{MinSize: c.MinSize, PeerTypes: c.PeerTypes, WithSecure: c.WithSecure}
	for i, name := range c.Algorithms {
		a, err := compress.ByName(name)
		switch {
		case err != nil:
			return s, fmt.Errorf("Compression.Algorithms: %w", err)
		case slices.Contains(c.Algorithms[:i], name):
			return s, fmt.Errorf("Compression.Algorithms has %q twice", name)
		}
		s.Algorithms = append(s.Algorithms, a)
	}
	return s, nil
}
