package frame

import "fmt"

// The banner (docs/PROTOCOL.md 1.2): "ceph v2\n", u16 payload length, u64 features
// supported, u64 features required.
const (
	// BannerLen is the length of a banner as we write it.
	BannerLen = 26

	bannerMagic      = "ceph v2\n"
	bannerHeadLen    = len(bannerMagic) + 2
	bannerPayloadMin = 16
	bannerPayloadMax = 64
)

// The banner features, a name space of their own.
const (
	// FeatureRevision1 is msgr v2.1.
	FeatureRevision1 uint64 = 1 << 0
	// FeatureCompression is on-wire compression.
	FeatureCompression uint64 = 1 << 1
)

// Banner is the first thing each side sends.
type Banner struct {
	// Supported and Required are banner features.
	Supported, Required uint64
}

// Append appends the banner.
func (b Banner) Append(dst []byte) []byte {
	dst = append(dst, bannerMagic...)
	dst = le.AppendUint16(dst, bannerPayloadMin)
	dst = le.AppendUint64(dst, b.Supported)
	return le.AppendUint64(dst, b.Required)
}

// String is the banner in one line.
func (b Banner) String() string {
	return fmt.Sprintf("BANNER sup=%#x req=%#x", b.Supported, b.Required)
}

// ParseBanner reads the banner at the start of p and returns how many bytes it
// takes. While p is too short, n is 0 and err nil; but a byte that is wrong
// fails at once, without waiting for more. A payload of 16 to 64 bytes is
// accepted; what is beyond the features is ignored.
func ParseBanner(p []byte) (b Banner, n int, err error) {
	for i := range min(len(p), len(bannerMagic)) {
		if p[i] == bannerMagic[i] {
			continue
		}
		if i == 6 && p[i] == '0' { // "ceph v027" is msgr v1
			return Banner{}, 0, &Error{Code: PeerIsV1}
		}
		return Banner{}, 0, &Error{Code: BadBanner, Len: i + 1}
	}
	if len(p) < bannerHeadLen {
		// The low byte of the length suffices to refuse most of them, but a
		// result that depends on how the bytes were split helps nobody.
		return Banner{}, 0, nil
	}
	l := int(le.Uint16(p[len(bannerMagic):]))
	if l < bannerPayloadMin || l > bannerPayloadMax {
		return Banner{}, 0, &Error{Code: BadBanner, Len: l,
			Err: fmt.Errorf("payload length %d not in %d..%d", l, bannerPayloadMin, bannerPayloadMax)}
	}
	if len(p) < bannerHeadLen+l {
		return Banner{}, 0, nil
	}
	b.Supported = le.Uint64(p[bannerHeadLen:])
	b.Required = le.Uint64(p[bannerHeadLen+8:])
	return b, bannerHeadLen + l, nil
}

// CheckBanner decides whether two sides can talk: each has what the other
// requires, and the peer can do revision 1, for revision 0 is not spoken here.
func CheckBanner(mine, peer Banner) error {
	if peer.Supported&FeatureRevision1 == 0 {
		return &Error{Code: Revision0, Got: peer.Supported, Want: FeatureRevision1}
	}
	if missing := mine.Required &^ peer.Supported; missing != 0 {
		return &Error{Code: MissingFeatures, Got: peer.Supported, Want: mine.Required,
			Err: fmt.Errorf("peer lacks %#x", missing)}
	}
	if missing := peer.Required &^ mine.Supported; missing != 0 {
		return &Error{Code: MissingFeatures, Got: mine.Supported, Want: peer.Required,
			Err: fmt.Errorf("peer requires %#x more than we have", missing)}
	}
	return nil
}
