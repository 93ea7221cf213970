// Package compress has what messages can be compressed with on the wire, as Ceph's daemons of
// 17 and newer do it (docs/PROTOCOL.md 9.2): [Algorithm], the list of those that are registered,
// and [Zlib], which the standard library has. The module async/compress/codecs registers snappy,
// zstd and lz4 when it is imported:
//
//	import _ "github.com/asyncmsgr/asyncmsgr/async/compress/codecs"
//
// Which of them a messenger uses, and with whom, is said by async.Config.Compression.
package compress
