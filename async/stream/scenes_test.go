package stream

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// scenes are tests that move each counter between them.
var scenes = []struct {
	name string
	run  func(t *testing.T)
}{
	{"Dial", TestDial}, // Dialed, Accepted, messages and bytes
	{"CloseDropsWhatIsNotRead", TestCloseDropsWhatIsNotRead}, // Dropped
	{"PeerRestarts", TestPeerRestarts},                       // Reset
	{"FullSendQueue", TestFullSendQueue},                     // SendWaits, Postponed
	{"FloodOfOpens", TestFloodOfOpens},                       // Refused, AnswersDropped
	{"UnknownStreams", TestUnknownStreams},                   // Unknown
	{"BadOpen", TestBadOpen},                                 // Protocol
	{"SmallMessages", testSmallMessages},                     // Coalesced; Streams, Unread, Promised
}

// testSmallMessages leaves what was sent in small pieces unread.
func testSmallMessages(t *testing.T) {
	s := newSim(t, simOptions{})
	d, _ := s.pair()
	for range 100 {
		s.mustWrite(d, []byte("x"))
	}
	s.calm()
	st := s.muxes[1].Stats()
	require.EqualValues(t, 99, st.Coalesced)
	require.EqualValues(t, 100, st.MessagesReceived)
	require.EqualValues(t, 100, st.BytesReceived)
	require.EqualValues(t, 100, st.Unread)
	require.Equal(t, 1, st.Streams)
	require.EqualValues(t, windowDefault, st.Promised)
	st = s.muxes[0].Stats()
	require.EqualValues(t, 100, st.MessagesSent)
	require.EqualValues(t, 100, st.BytesSent)
}
