package frame

import (
	"fmt"

	"github.com/asyncmsgr/asyncmsgr/async/denc"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
)

// SessionReconnect is SESSION_RECONNECT: the connector asks to go on with a session.
type SessionReconnect struct {
	// Addrs are the connector's addresses, at most 64.
	Addrs entity.AddrVec
	// ClientCookie and ServerCookie name the session; they keep the roles of its
	// first connection.
	ClientCookie, ServerCookie uint64
	// GlobalSeq counts the connections the connector's process has opened, and
	// ConnectSeq those of this session.
	GlobalSeq, ConnectSeq uint64
	// MsgSeq is the last message the connector received.
	MsgSeq uint64
}

// Tag is TagSessionReconnect.
func (SessionReconnect) Tag() Tag { return TagSessionReconnect }

// AppendPayload appends: addrvec and five u64.
func (f SessionReconnect) AppendPayload(dst []byte) []byte {
	dst = f.Addrs.Append(dst)
	dst = le.AppendUint64(dst, f.ClientCookie)
	dst = le.AppendUint64(dst, f.ServerCookie)
	dst = le.AppendUint64(dst, f.GlobalSeq)
	dst = le.AppendUint64(dst, f.ConnectSeq)
	return le.AppendUint64(dst, f.MsgSeq)
}

// Parse reads a payload. Nothing in f aliases p.
func (f *SessionReconnect) Parse(p []byte) error {
	r := denc.NewReader(p)
	f.Addrs = entity.ConsumeAddrVec(&r)
	f.ClientCookie = r.U64()
	f.ServerCookie = r.U64()
	f.GlobalSeq = r.U64()
	f.ConnectSeq = r.U64()
	f.MsgSeq = r.U64()
	return finish(TagSessionReconnect, p, &r)
}

// String is the frame in one line.
func (f SessionReconnect) String() string {
	return fmt.Sprintf("SESSION_RECONNECT addrs=%v client_cookie=%#x server_cookie=%#x gseq=%d cseq=%d msg_seq=%d",
		f.Addrs, f.ClientCookie, f.ServerCookie, f.GlobalSeq, f.ConnectSeq, f.MsgSeq)
}

// SessionReset is SESSION_RESET: the acceptor does not know the session.
type SessionReset struct {
	// Full says that the connector must forget what it has not sent too.
	Full bool
}

// Tag is TagSessionReset.
func (SessionReset) Tag() Tag { return TagSessionReset }

// AppendPayload appends: bool full.
func (f SessionReset) AppendPayload(dst []byte) []byte { return denc.AppendBool(dst, f.Full) }

// Parse reads a payload.
func (f *SessionReset) Parse(p []byte) error {
	r := denc.NewReader(p)
	f.Full = r.Bool()
	return finish(TagSessionReset, p, &r)
}

// String is the frame in one line.
func (f SessionReset) String() string { return fmt.Sprintf("SESSION_RESET full=%t", f.Full) }

// SessionRetry is SESSION_RETRY: the connector's connect_seq is behind.
type SessionRetry struct {
	// ConnectSeq is the acceptor's.
	ConnectSeq uint64
}

// Tag is TagSessionRetry.
func (SessionRetry) Tag() Tag { return TagSessionRetry }

// AppendPayload appends: u64 connect_seq.
func (f SessionRetry) AppendPayload(dst []byte) []byte { return le.AppendUint64(dst, f.ConnectSeq) }

// Parse reads a payload.
func (f *SessionRetry) Parse(p []byte) error { return parseU64(TagSessionRetry, p, &f.ConnectSeq) }

// String is the frame in one line.
func (f SessionRetry) String() string { return fmt.Sprintf("SESSION_RETRY cseq=%d", f.ConnectSeq) }

// SessionRetryGlobal is SESSION_RETRY_GLOBAL: the connector's global_seq is behind.
type SessionRetryGlobal struct {
	// GlobalSeq is the highest the acceptor has seen of the connector.
	GlobalSeq uint64
}

// Tag is TagSessionRetryGlobal.
func (SessionRetryGlobal) Tag() Tag { return TagSessionRetryGlobal }

// AppendPayload appends: u64 global_seq.
func (f SessionRetryGlobal) AppendPayload(dst []byte) []byte {
	return le.AppendUint64(dst, f.GlobalSeq)
}

// Parse reads a payload.
func (f *SessionRetryGlobal) Parse(p []byte) error {
	return parseU64(TagSessionRetryGlobal, p, &f.GlobalSeq)
}

// String is the frame in one line.
func (f SessionRetryGlobal) String() string {
	return fmt.Sprintf("SESSION_RETRY_GLOBAL gseq=%d", f.GlobalSeq)
}

// SessionReconnectOK is SESSION_RECONNECT_OK: the session goes on.
type SessionReconnectOK struct {
	// MsgSeq is the last message the acceptor received.
	MsgSeq uint64
}

// Tag is TagSessionReconnectOK.
func (SessionReconnectOK) Tag() Tag { return TagSessionReconnectOK }

// AppendPayload appends: u64 msg_seq.
func (f SessionReconnectOK) AppendPayload(dst []byte) []byte {
	return le.AppendUint64(dst, f.MsgSeq)
}

// Parse reads a payload.
func (f *SessionReconnectOK) Parse(p []byte) error {
	return parseU64(TagSessionReconnectOK, p, &f.MsgSeq)
}

// String is the frame in one line.
func (f SessionReconnectOK) String() string {
	return fmt.Sprintf("SESSION_RECONNECT_OK msg_seq=%d", f.MsgSeq)
}

// Wait is WAIT: the connector shall wait for the acceptor's own connection.
type Wait struct{}

// Tag is TagWait.
func (Wait) Tag() Tag { return TagWait }

// AppendPayload appends nothing.
func (Wait) AppendPayload(dst []byte) []byte { return dst }

// Parse reads a payload, which must be empty.
func (*Wait) Parse(p []byte) error {
	r := denc.NewReader(p)
	return finish(TagWait, p, &r)
}

// String is the frame in one line.
func (Wait) String() string { return "WAIT" }
