package tlsauth

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
)

// The labels of what is exported from a finished handshake (RFC 8446 7.5), and the lengths
// in bytes. They are part of the protocol.
const (
	labelConnectionSecret = "EXPORTER-asyncmsgr-1-connection-secret"
	labelSessionKey       = "EXPORTER-asyncmsgr-1-session-key"

	connectionSecretLen = 64
	sessionKeyLen       = 32
)

// handshake is TLS 1.3 as a machine: payloads in, payloads out. start is first, then step
// for each payload of the peer until done, then keys.
//
// It is used by one goroutine at a time. crypto/tls keeps a goroutine for it from start to
// the end of the handshake or to close, so one that is abandoned has to be closed. After an
// error it is closed already.
type handshake struct {
	conn     *tls.QUICConn
	received int // bytes of payloads
	done     bool
}

func startHandshake(conn *tls.QUICConn) (*handshake, []byte, error) {
	h := &handshake{conn: conn}
	// None of QUIC's parameters mean anything here, but QUIC's TLS requires that there are some.
	conn.SetTransportParameters([]byte{})
	err := conn.Start(context.Background())
	var out []byte
	if err == nil {
		out, err = h.drain(nil)
	}
	if err != nil {
		h.close()
		return nil, nil, err
	}
	return h, out, nil
}

// step handles a payload and returns the answer, which is empty if the payload ended the
// handshake of a server. A payload that is neither answered nor the last one is an error:
// this package sends whole flights.
func (h *handshake) step(payload []byte) (out []byte, err error) {
	if h.conn == nil {
		return nil, fmt.Errorf("tlsauth: %w", net.ErrClosed)
	}
	defer func() {
		if err != nil {
			h.close()
		}
	}()
	if h.received += len(payload); h.received > handshakeMax {
		return nil, malformed("%d bytes in this handshake, at most %d are allowed", h.received, handshakeMax)
	}
	chunks, err := parsePayload(payload)
	if err != nil {
		return nil, err
	}
	for _, c := range chunks {
		// Within a chunk crypto/tls does not allow more than the last message.
		if h.done {
			return nil, malformed("messages after the end of the handshake")
		}
		if err := h.conn.HandleData(c.level, c.data); err != nil {
			return nil, err
		}
		if out, err = h.drain(out); err != nil {
			return nil, err
		}
	}
	switch {
	case !h.done && len(out) == 0:
		return nil, malformed("it ends inside a flight of messages")
	case len(out) > payloadMax:
		return nil, fmt.Errorf("tlsauth: a flight of %d bytes, at most %d are allowed; use fewer certificates",
			len(out), payloadMax)
	}
	return out, nil
}

// drain takes the events of the machine and appends what is to be sent to out.
func (h *handshake) drain(out []byte) ([]byte, error) {
	for {
		switch e := h.conn.NextEvent(); e.Kind {
		case tls.QUICNoEvent:
			return out, nil
		case tls.QUICWriteData:
			if !levelAllowed(e.Level) {
				return nil, fmt.Errorf("tlsauth: crypto/tls sends at level %s", e.Level)
			}
			out = appendChunk(out, e.Level, e.Data)
		case tls.QUICTransportParameters:
			if len(e.Data) > 0 {
				return nil, malformed("%d bytes of transport parameters, which are for QUIC", len(e.Data))
			}
		case tls.QUICHandshakeDone:
			h.done = true
		case tls.QUICSetReadSecret, tls.QUICSetWriteSecret: // there is no record layer to encrypt
		case tls.QUICErrorEvent:
			return nil, e.Err
		default:
			return nil, fmt.Errorf("tlsauth: event %d of crypto/tls is not expected", e.Kind)
		}
	}
}

// keys are what a finished handshake agreed on.
type keys struct {
	state                        *tls.ConnectionState
	connectionSecret, sessionKey []byte
}

// Format keeps the keys out of texts.
func (k keys) Format(s fmt.State, _ rune) { fmt.Fprint(s, "tlsauth.keys") }

// keys exports what was agreed on.
func (h *handshake) keys() (k keys, err error) {
	if !h.done || h.conn == nil {
		return k, errors.New("tlsauth: the handshake is not finished")
	}
	cs := h.conn.ConnectionState()
	if cs.Version != tls.VersionTLS13 || cs.NegotiatedProtocol != alpn || !cs.HandshakeComplete || cs.DidResume ||
		len(cs.PeerCertificates) == 0 {
		return k, fmt.Errorf("tlsauth: the handshake ended with version %#x, protocol %s, %d certificates",
			cs.Version, quoted(cs.NegotiatedProtocol), len(cs.PeerCertificates))
	}
	k.state = &cs
	if k.connectionSecret, err = cs.ExportKeyingMaterial(labelConnectionSecret, nil, connectionSecretLen); err != nil {
		return keys{}, fmt.Errorf("tlsauth: the connection secret: %w", err)
	}
	if k.sessionKey, err = cs.ExportKeyingMaterial(labelSessionKey, nil, sessionKeyLen); err != nil {
		return keys{}, fmt.Errorf("tlsauth: the session key: %w", err)
	}
	return k, nil
}

// close ends the handshake, and returns when its goroutine has. It may be called again.
func (h *handshake) close() {
	if h.conn != nil {
		_ = h.conn.Close() // the error of the handshake, which was returned already
		h.conn = nil
	}
}
