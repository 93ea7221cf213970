package frame

import (
	"encoding/hex"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestBannerGolden(t *testing.T) {
	want, _ := hex.DecodeString("636570682076320a100001000000000000000000000000000000")
	p := Banner{Supported: FeatureRevision1}.Append(nil)
	require.Equal(t, want, p)
	require.Len(t, p, BannerLen)
	b, n, err := ParseBanner(append(p, "more"...))
	require.NoError(t, err)
	require.Equal(t, BannerLen, n)
	require.Equal(t, Banner{Supported: FeatureRevision1}, b)
	require.Equal(t, "BANNER sup=0x1 req=0x0", b.String())
}

// Every flip of the magic fails at the flipped byte, and no other flip of the
// first ten bytes is accepted unless the length is still in range.
func TestBannerEveryBit(t *testing.T) {
	good := Banner{Supported: 3, Required: 1}.Append(nil)
	for bit := range len(good) * 8 {
		bad := append([]byte(nil), good...)
		bad[bit/8] ^= 1 << (bit % 8)
		b, n, err := ParseBanner(bad)
		switch at := bit / 8; {
		case at < len(bannerMagic):
			require.ErrorIs(t, err, ErrBanner)
			_, _, err = ParseBanner(bad[:at])
			require.NoError(t, err)
			_, _, err2 := ParseBanner(bad[:at+1])
			require.ErrorIs(t, err2, ErrBanner, "at the first wrong byte")
		case at < bannerHeadLen:
			if l := le.Uint16(bad[8:]); l >= 16 && l <= 64 {
				require.NoError(t, err)
				require.Zero(t, n, "a longer banner has yet to come")
			} else {
				requireCode(t, BadBanner, err)
			}
		default:
			require.NoError(t, err)
			require.Equal(t, BannerLen, n)
			require.NotEqual(t, Banner{Supported: 3, Required: 1}, b)
		}
	}
}

func TestBannerTruncated(t *testing.T) {
	long := []byte("ceph v2\n\x40\x00")
	long = append(long, make([]byte, 64)...)
	for cut := range long {
		_, n, err := ParseBanner(long[:cut])
		require.NoError(t, err)
		require.Zero(t, n)
	}
	_, n, err := ParseBanner(long)
	require.NoError(t, err)
	require.Equal(t, 74, n)
	long[8] = 65
	_, _, err = ParseBanner(long[:10])
	requireCode(t, BadBanner, err)
	_, _, err = ParseBanner([]byte("ceph v2\n\xff\xff"))
	requireCode(t, BadBanner, err)
}

func TestBannerV1(t *testing.T) {
	_, _, err := ParseBanner([]byte("ceph v027"))
	requireCode(t, PeerIsV1, err)
	require.ErrorIs(t, err, ErrPeerIsV1)
	require.ErrorIs(t, err, ErrBanner)
	_, _, err = ParseBanner([]byte("HTTP/1.1 400"))
	require.ErrorIs(t, err, ErrBanner)
	require.NotErrorIs(t, err, ErrPeerIsV1)
}

func TestCheckBanner(t *testing.T) {
	mine := Banner{Supported: FeatureRevision1}
	strict := Banner{Supported: FeatureRevision1, Required: FeatureRevision1}
	quincy := Banner{Supported: FeatureRevision1 | FeatureCompression}
	require.NoError(t, CheckBanner(mine, mine))
	require.NoError(t, CheckBanner(strict, quincy))
	require.NoError(t, CheckBanner(mine, strict))
	requireCode(t, Revision0, CheckBanner(mine, Banner{}))
	requireCode(t, Revision0, CheckBanner(strict, Banner{Supported: 2}))
	requireCode(t, MissingFeatures, CheckBanner(mine, Banner{Supported: 3, Required: 2}))
	requireCode(t, MissingFeatures, CheckBanner(Banner{Supported: 3, Required: 2}, mine))
}

func TestErrors(t *testing.T) {
	for c := BadBanner; int(c) < len(codes); c++ {
		require.NotEmpty(t, c.String())
		require.NotNil(t, codes[c].class, c)
		e := &Error{Code: c, Tag: TagAck, Err: errors.New("cause")}
		require.ErrorIs(t, e, codes[c].class)
		require.Contains(t, e.Error(), c.String())
		require.Contains(t, e.Error(), "ACK")
		require.Contains(t, e.Error(), "cause")
		require.Equal(t, c != OutOfNonces, e.Peer())
	}
	require.Equal(t, "code 200", Code(200).String())
	require.Equal(t, "frame: payload too large in MESSAGE: Data of 70 bytes, the limit is 60",
		(&Error{Code: TooLarge, Tag: TagMessage, Segment: 3, Len: 70, Limit: 60}).Error())
	require.Equal(t, "frame: payload too large in HELLO: segment 0 of 70 bytes, the limit is 60",
		(&Error{Code: TooLarge, Tag: TagHello, Len: 70, Limit: 60}).Error())
	require.Equal(t, "frame: this is not msgr v2", (&Error{Code: BadBanner, Len: 1}).Error())
}
