package frame

import (
	"fmt"

	"github.com/asyncmsgr/asyncmsgr/async/denc"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
)

// FlagLossy, in the flags of CLIENT_IDENT and SERVER_IDENT: the session ends with
// its connection.
const FlagLossy uint64 = 1

// ClientIdent is CLIENT_IDENT: the connector asks for a new session.
type ClientIdent struct {
	// Addrs are the connector's addresses, at most 64.
	Addrs entity.AddrVec
	// Target is the acceptor's address that the connector dialled.
	Target entity.Addr
	// GID is the number of the connector's name.
	GID int64
	// GlobalSeq counts the connections the connector's process has opened.
	GlobalSeq uint64
	// FeaturesSupported and FeaturesRequired are feature bits (docs/PROTOCOL.md 1.9).
	FeaturesSupported, FeaturesRequired uint64
	// Flags has FlagLossy or not.
	Flags uint64
	// Cookie names the session on the connector's side; 0 for a lossy one.
	Cookie uint64
}

// Tag is TagClientIdent.
func (ClientIdent) Tag() Tag { return TagClientIdent }

// AppendPayload appends: addrvec, addr, s64 gid and five u64.
func (f ClientIdent) AppendPayload(dst []byte) []byte {
	dst = f.Addrs.Append(dst)
	dst = f.Target.Append(dst)
	dst = le.AppendUint64(dst, uint64(f.GID))
	dst = le.AppendUint64(dst, f.GlobalSeq)
	dst = le.AppendUint64(dst, f.FeaturesSupported)
	dst = le.AppendUint64(dst, f.FeaturesRequired)
	dst = le.AppendUint64(dst, f.Flags)
	return le.AppendUint64(dst, f.Cookie)
}

// Parse reads a payload. Nothing in f aliases p.
func (f *ClientIdent) Parse(p []byte) error {
	r := denc.NewReader(p)
	f.Addrs = entity.ConsumeAddrVec(&r)
	f.Target = entity.ConsumeAddr(&r)
	f.GID = r.S64()
	f.GlobalSeq = r.U64()
	f.FeaturesSupported = r.U64()
	f.FeaturesRequired = r.U64()
	f.Flags = r.U64()
	f.Cookie = r.U64()
	return finish(TagClientIdent, p, &r)
}

// String is the frame in one line.
func (f ClientIdent) String() string {
	return fmt.Sprintf("CLIENT_IDENT addrs=%v target=%v gid=%d gseq=%d sup=%#x req=%#x flags=%s cookie=%#x",
		f.Addrs, f.Target, f.GID, f.GlobalSeq, f.FeaturesSupported, f.FeaturesRequired, flagsString(f.Flags), f.Cookie)
}

// ServerIdent is SERVER_IDENT: the acceptor has opened the session.
type ServerIdent struct {
	// Addrs are the acceptor's addresses, at most 64.
	Addrs entity.AddrVec
	// GID is the number of the acceptor's name.
	GID int64
	// GlobalSeq counts the connections of the acceptor's process.
	GlobalSeq uint64
	// FeaturesSupported and FeaturesRequired are feature bits (docs/PROTOCOL.md 1.9).
	FeaturesSupported, FeaturesRequired uint64
	// Flags has FlagLossy or not; it decides, whatever the connector offered.
	Flags uint64
	// Cookie names the session on the acceptor's side; 0 for a lossy one.
	Cookie uint64
}

// Tag is TagServerIdent.
func (ServerIdent) Tag() Tag { return TagServerIdent }

// AppendPayload appends: addrvec, s64 gid and five u64.
func (f ServerIdent) AppendPayload(dst []byte) []byte {
	dst = f.Addrs.Append(dst)
	dst = le.AppendUint64(dst, uint64(f.GID))
	dst = le.AppendUint64(dst, f.GlobalSeq)
	dst = le.AppendUint64(dst, f.FeaturesSupported)
	dst = le.AppendUint64(dst, f.FeaturesRequired)
	dst = le.AppendUint64(dst, f.Flags)
	return le.AppendUint64(dst, f.Cookie)
}

// Parse reads a payload. Nothing in f aliases p.
func (f *ServerIdent) Parse(p []byte) error {
	r := denc.NewReader(p)
	f.Addrs = entity.ConsumeAddrVec(&r)
	f.GID = r.S64()
	f.GlobalSeq = r.U64()
	f.FeaturesSupported = r.U64()
	f.FeaturesRequired = r.U64()
	f.Flags = r.U64()
	f.Cookie = r.U64()
	return finish(TagServerIdent, p, &r)
}

// String is the frame in one line.
func (f ServerIdent) String() string {
	return fmt.Sprintf("SERVER_IDENT addrs=%v gid=%d gseq=%d sup=%#x req=%#x flags=%s cookie=%#x",
		f.Addrs, f.GID, f.GlobalSeq, f.FeaturesSupported, f.FeaturesRequired, flagsString(f.Flags), f.Cookie)
}

// IdentMissingFeatures is IDENT_MISSING_FEATURES: the connector lacks required features.
type IdentMissingFeatures struct {
	// Features are the missing bits.
	Features uint64
}

// Tag is TagIdentMissingFeatures.
func (IdentMissingFeatures) Tag() Tag { return TagIdentMissingFeatures }

// AppendPayload appends: u64 features.
func (f IdentMissingFeatures) AppendPayload(dst []byte) []byte {
	return le.AppendUint64(dst, f.Features)
}

// Parse reads a payload.
func (f *IdentMissingFeatures) Parse(p []byte) error {
	return parseU64(TagIdentMissingFeatures, p, &f.Features)
}

// String is the frame in one line.
func (f IdentMissingFeatures) String() string {
	return fmt.Sprintf("IDENT_MISSING_FEATURES features=%#x", f.Features)
}

// flagsString is "lossy", "0" or the bits.
func flagsString(flags uint64) string {
	switch flags {
	case 0:
		return "0"
	case FlagLossy:
		return "lossy"
	}
	return fmt.Sprintf("%#x", flags)
}
