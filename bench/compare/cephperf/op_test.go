package cephperf

import (
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestFronts: both are as long as those of release 16.2, whose decoders take them apart.
func TestFronts(t *testing.T) {
	require.Len(t, encodeRequest(64), requestFront)
	require.Len(t, encodeReply(), replyFront)
	require.Equal(t, "0101120000000101000000000000000100"+"0000ffffffffff", hex.EncodeToString(encodeRequest(64)[:24]))
	require.Equal(t, encodeRequest(64)[:100], encodeRequest(4096)[:100])
	require.NotEqual(t, encodeRequest(64), encodeRequest(4096))
}
