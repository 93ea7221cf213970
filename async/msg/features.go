package msg

// Feature bits of Ceph peers (docs/PROTOCOL.md 1.9). A system of its own that never
// talks to Ceph may give bits a meaning of its own.
const (
	// FeatureMsgAddr2 is required of every peer on msgr2.
	FeatureMsgAddr2 uint64 = 1 << 59
	// FeaturesAll is what a Ceph 16.2 daemon offers, and this library by default.
	FeaturesAll uint64 = 0x3f01cfbdfffdffff
	// FeatureTraceContext is this library's own, and no bit of Ceph's, for which it is reserved and never
	// assigned: both sides carry Message.TraceContext. It is not in FeaturesAll: a policy offers it with
	// FeaturesSupported: FeaturesAll | FeatureTraceContext.
	FeatureTraceContext uint64 = 1 << 62
)
