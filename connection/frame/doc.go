// Package frame turns bytes into frames of msgr v2.1 and back. It holds no
// connection state but the cipher of secure mode: which frame may come when is
// the session's affair.
//
// # The bytes
//
// A stream is a [Banner] and then frames. A frame begins with a preamble
// (docs/PROTOCOL.md 1.3):
//
//	 0  u8  tag
//	 1  u8  number of segments, 1..4
//	 2  4 x { u32 length, u16 alignment }
//	26  u8  flags          bit 0: the payload is compressed
//	27  u8  reserved
//	28  u32 crc32c of bytes 0..27, seed 0
//
// In crc mode (spec 1.4) segment 0 follows with its crc, unless it is empty; a
// frame of more segments goes on with those, unpadded, and an epilogue:
//
//	+----------+----+-----+ +----+----+----+-------------+--------+--------+--------+
//	| preamble | S0 | crc | | S1 | S2 | S3 | late status | crc S1 | crc S2 | crc S3 |
//	+----------+----+-----+ +----+----+----+-------------+--------+--------+--------+
//	    32      L0     4      L1   L2   L3        1           4        4        4
//
// In secure mode every unit is sealed on its own; segments are padded with
// zeros to 16 bytes:
//
//	+---------------------------+-----+ +--------------+-----+ +----+----+----+-------------+-----+
//	| preamble | first 48 of S0 | tag | | rest of S0   | tag | | S1 | S2 | S3 | late status | tag |
//	+---------------------------+-----+ +--------------+-----+ +----+----+----+-------------+-----+
//	          always 80           16      if L0 > 48     16       if segments > 1    16       16
//
// Every frame but MESSAGE is a control frame: one segment, whose fields are
// those of the struct named like the frame ([Hello], [ClientIdent], ...). A
// MESSAGE has its [Header] in segment 0 and then front, middle and data.
//
// # Where this package is strict
//
// The fields of a control frame must fill its payload exactly: no version of
// the protocol has lengthened one, new fields are announced by feature bits.
// The header of a message may be longer than 41 bytes, up to [HeaderMax], as the
// daemons allow. Segments that the frame does not have must be declared 0 long,
// and their slots in the epilogue must hold 0 or all ones, the two values that
// are in use. A frame marked as compressed is refused unless compression was agreed on
// (SetCompression), and what becomes longer than its tag's bound or the [Limits] is
// refused before memory is taken for it. Alignments, the other preamble flags and the upper nibble of the late
// status are ignored. What a frame declares is checked against its tag and the
// [Limits] before anything is allocated for it.
//
// # Encoding and decoding
//
// An [Encoder] appends frames to a [Batch], the iovecs of one writev: small
// pieces are copied together, large payloads are referenced. A [Decoder] is
// pulled with whatever bytes have arrived. Neither is safe for concurrent use.
//
// msgr v2.0 framing (revision 0) is not spoken; [CheckBanner] refuses such peers.
//
// Implementation: not for users of the library; may change in any release.
package frame
