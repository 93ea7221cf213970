package frame

import (
	"fmt"

	"github.com/asyncmsgr/asyncmsgr/async/denc"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
)

// Hello is HELLO, the first frame of both sides.
type Hello struct {
	// EntityType is the sender's kind.
	EntityType entity.Type
	// PeerAddr is the receiver's address as the sender sees it: a connector sends
	// the address it dialled, an acceptor the remote address of the socket.
	PeerAddr entity.Addr
}

// Tag is TagHello.
func (Hello) Tag() Tag { return TagHello }

// AppendPayload appends: u8 entity type, addr.
func (f Hello) AppendPayload(dst []byte) []byte {
	return f.PeerAddr.Append(append(dst, byte(f.EntityType)))
}

// Parse reads a payload.
func (f *Hello) Parse(p []byte) error {
	r := denc.NewReader(p)
	f.EntityType = entity.Type(r.U8())
	f.PeerAddr = entity.ConsumeAddr(&r)
	return finish(TagHello, p, &r)
}

// String is the frame in one line.
func (f Hello) String() string {
	return fmt.Sprintf("HELLO type=%v peer_addr=%v", f.EntityType, f.PeerAddr)
}
