package session

import "github.com/asyncmsgr/asyncmsgr/async/planted"

// smaller says whether we are the smaller address, to which the peer has to give
// way; or something else if a bug is planted.
func smaller(peerIsSmaller bool) bool {
	switch {
	case planted.On(planted.WrongWinner):
		return peerIsSmaller
	case planted.On(planted.BothGiveWay):
		return true
	case planted.On(planted.NeitherGivesWay):
		return false
	}
	return !peerIsSmaller
}

// ackError is 0 unless a bug is planted.
func ackError() uint64 {
	if planted.On(planted.AckOffByOne) {
		return 1
	}
	return 0
}
