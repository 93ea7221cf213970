package session

// Bounds of Config.RekeyUnits and RekeyBytes. The largest are far below what AES-GCM
// bears with nonces that are never used twice; the smallest leave room for a handshake
// and some messages.
const (
	rekeyUnitsMin = 64
	rekeyUnitsMax = 1 << 32
	rekeyBytesMin = 64 << 10
	rekeyBytesMax = 1 << 38
)

// worn says that a key was used for as much as it may be. The connecting side says so
// first, if it can, since it can dial at once: the other waits for an eighth more.
func (s *Session) worn(units, bytes uint64) bool {
	u, b := s.cfg.RekeyUnits, s.cfg.RekeyBytes
	if !s.canDial() {
		u, b = u+u/8, b+b/8
	}
	return units >= u || bytes >= b
}

// sealedEnough says that no more is to be sent with this connection's key. Fill then gives
// the connection up, as if the network had broken it, when all that was encoded is written:
// the next one has a handshake of its own, and so other keys (docs/PROTOCOL.md 1.4). A
// lossless session loses nothing by it, a lossy one ends.
func (s *Session) sealedEnough() bool { return s.state == StateReady && s.worn(s.stream.enc.Used()) }

// openedEnough is the error for a peer that has sent with its key what may be.
func (s *Session) openedEnough() error {
	if s.state == StateReady && s.worn(s.stream.dec.Used()) {
		return ErrRekey
	}
	return nil
}
