package entity

import "time"

// Authenticated is what authentication says of a peer. The slices and Proof are read only.
type Authenticated struct {
	// Name is who the peer is; zero where the method proves nothing of it, as of a server
	// most do not.
	Name AuthName
	// Proved says that the method proved Name. Otherwise the peer only said it.
	Proved bool
	// Method and Mode are the numbers of the authentication method and of the mode of the
	// connection (auth.MethodTLS, auth.ModeSecure and so on); 0: there was no
	// authentication yet.
	Method, Mode uint32
	// Capabilities are what the peer may do, in the method's own encoding.
	Capabilities []byte
	// Expires is when the proof ends, on the wall clock; zero: never. A connection that
	// stands goes on.
	Expires time.Time
	// Proof is what the method knows besides: with TLS a *tls.ConnectionState.
	Proof any
}

// Is says whether a name that a peer bears in its session, type and number, is that of
// who it is: of the same type and, if the id of the name is a number, with that number.
// Two kinds of names say less. The id of a daemon other than an OSD need not be a number:
// "mds.a" may have any. And so may "client.admin", while "client.5" has the number 5, or
// the one that it was given, globalID, or none yet.
func (a AuthName) Is(n Name, globalID uint64) bool {
	if a.Type != n.Type {
		return false
	}
	number, isNumber := a.number()
	switch {
	case !isNumber:
		return n.Type != TypeOSD
	case number == n.Num:
		return true
	case n.Type != TypeClient:
		return false
	}
	return n.Num == NumNew || globalID != 0 && n.Num == int64(globalID)
}

// number is the id as a number, if it is written as one.
func (a AuthName) number() (n int64, ok bool) {
	if a.ID == "" || len(a.ID) > 18 {
		return 0, false
	}
	for _, c := range []byte(a.ID) {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = 10*n + int64(c-'0')
	}
	return n, true
}
