package rpc

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var allTypes = []uint16{typeRequest, typeReply, typeCancel, typeChunk, typeCredit, typeProbe}

// TestHeaders: what is written is read, wherever the body stands.
func TestHeaders(t *testing.T) {
	for _, typ := range allTypes {
		h := header{method: 0x1234, code: 0x89abcdef}
		if typ == typeRequest {
			h.flags, h.remaining = flagOneWay, time.Hour
		}
		front := appendHeader(nil, typ, h)
		got, body, err := parseHeader(typ, front, nil, []byte("body"))
		require.NoError(t, err)
		require.Equal(t, h, got)
		require.Equal(t, "body", string(body))
		got, body, err = parseHeader(typ, append(front, "body"...), nil, nil)
		require.NoError(t, err)
		require.Equal(t, h, got)
		require.Equal(t, "body", string(body))
		for n := range front {
			_, _, err = parseHeader(typ, front[:n], nil, nil)
			require.ErrorIs(t, err, errMalformed)
		}
	}
	// As long as can be said is as good as for ever.
	front := appendHeader(nil, typeRequest, header{remaining: -1})
	h, _, err := parseHeader(typeRequest, front, nil, nil)
	require.NoError(t, err)
	require.Equal(t, remainingMax, h.remaining)
}

// FuzzHeader: any bytes are read or refused, and what is read is written as it was.
func FuzzHeader(f *testing.F) {
	for _, typ := range allTypes {
		f.Add(typ, appendHeader(nil, typ, header{method: 1, code: 2, remaining: 3}), []byte(nil), []byte("x"))
	}
	f.Add(uint16(typeReply), []byte{1, 0, 0, 0, 0, 0, 0, 0, 'b'}, []byte(nil), []byte(nil))
	f.Fuzz(func(t *testing.T, typ uint16, front, middle, data []byte) {
		h, body, err := parseHeader(typ, front, middle, data)
		if err != nil {
			require.ErrorIs(t, err, errMalformed)
			return
		}
		require.LessOrEqual(t, h.remaining, remainingMax)
		require.GreaterOrEqual(t, h.remaining, time.Duration(0))
		again := appendHeader(nil, typ, h)
		if h.remaining == remainingMax {
			again = front[:len(again)]
		}
		require.True(t, bytes.Equal(append(again, body...), append(bytes.Clone(front), data...)))
	})
}
