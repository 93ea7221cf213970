// Package codecs registers snappy, zstd and lz4 for the compression of messages on the wire, in
// the form in which Ceph's daemons write them. Import it for that:
//
//	import _ "github.com/asyncmsgr/asyncmsgr/async/compress/codecs"
//
// It is a module of its own, so that who does not need it does not have what it requires.
package codecs

import "github.com/asyncmsgr/asyncmsgr/async/compress"

func init() {
	compress.Register(Snappy{})
	compress.Register(Zstd{})
	compress.Register(LZ4{})
}
