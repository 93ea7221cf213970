package msg

// Feature bits of Ceph peers (docs/PROTOCOL.md 1.9). A system of its own that never
// talks to Ceph may give bits a meaning of its own.
const (
	// FeatureMsgAddr2 is required of every peer on msgr2.
	FeatureMsgAddr2 uint64 = 1 << 59
	// FeaturesAll is what a Ceph 16.2 daemon offers, and this library by default.
	FeaturesAll uint64 = 0x3f01cfbdfffdffff
)
