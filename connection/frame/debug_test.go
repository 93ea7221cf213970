package frame

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestOneLine(t *testing.T) {
	want := []string{
		"HELLO type=osd peer_addr=v2:127.0.0.1:3300/7",
		"AUTH_REQUEST method=2 modes=[2 1] payload=(7 bytes)",
		"AUTH_BAD_METHOD method=1 result=-95 methods=[2] modes=[2 1]",
		"AUTH_REPLY_MORE payload=(9 bytes)",
		"AUTH_REQUEST_MORE payload=(5 bytes)",
		"AUTH_DONE global_id=4123 mode=1 payload=(7 bytes)",
		"AUTH_SIGNATURE signature=(32 bytes)",
		"CLIENT_IDENT addrs=[v2:127.0.0.1:3300/7,v1:127.0.0.1:6789/7] target=v2:[fe80::1%3]:6800/9 " +
			"gid=-1 gseq=3 sup=0x7 req=0x5 flags=lossy cookie=0xabc",
		"SERVER_IDENT addrs=[v2:127.0.0.1:3300/7,v1:127.0.0.1:6789/7] " +
			"gid=0 gseq=3 sup=0x7 req=0x5 flags=0 cookie=0xabc",
		"IDENT_MISSING_FEATURES features=0x800000000000000",
		"SESSION_RECONNECT addrs=[v2:127.0.0.1:3300/7,v1:127.0.0.1:6789/7] " +
			"client_cookie=0x1 server_cookie=0x2 gseq=3 cseq=4 msg_seq=5",
		"SESSION_RESET full=true",
		"SESSION_RETRY cseq=8",
		"SESSION_RETRY_GLOBAL gseq=9",
		"SESSION_RECONNECT_OK msg_seq=10",
		"WAIT",
		"KEEPALIVE2 stamp=1.000000002",
		"KEEPALIVE2_ACK stamp=3.000000004",
		"ACK seq=77",
		"COMPRESSION_REQUEST compress=true methods=[1 2]",
		"COMPRESSION_DONE compress=true method=2",
	}
	for i, c := range everyControl {
		require.Equal(t, want[i], c.String())
		require.Equal(t, want[i], Describe(&Preamble{Tag: c.Tag()}, c.AppendPayload(nil), nil))
		require.True(t, strings.HasPrefix(c.String(), c.Tag().String()))
	}
	p := Preamble{Tag: TagMessage, Segments: [4]Segment{{Len: 41}, {Len: 5}, {}, {Len: 6}}}
	require.Equal(t, "MESSAGE seq=1 tid=2 type=42 prio=127 version=8 compat=3 ack_seq=5 flags=0x3 pre_padding=0 "+
		"data_off=16 reserved=0 front=5 middle=0 data=6", Describe(&p, nil, &testHeader))
	require.Equal(t, "MESSAGE front=5 middle=0 data=6", Describe(&p, nil, nil))
	require.Contains(t, Describe(&Preamble{Tag: TagAck}, nil, nil), "ACK (0 bytes: ")
	require.Equal(t, "AUTH_SIGNATURE signature=(zero)", AuthSignature{}.String())
	require.Equal(t, "0x6", flagsString(6))
}

func TestTags(t *testing.T) {
	for tag := range Tag(255) {
		known := tag >= TagHello && tag <= TagCompressionDone
		require.Equal(t, known, tag.Known(), "%d", tag)
		require.Equal(t, known, tag.Direction() != 0)
		require.Equal(t, !known, strings.HasPrefix(tag.String(), "TAG("))
	}
	require.Len(t, everyControl, len(tags)-2, "all but 0 and MESSAGE")
	require.Equal(t, FromAcceptor, TagWait.Direction())
	require.Equal(t, FromBoth, TagMessage.Direction())
}
