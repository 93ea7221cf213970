package cephx

import (
	"fmt"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/denc"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
)

// held is a ticket that a client has.
type held struct {
	key     Key // the session key
	blob    TicketBlob
	renew   time.Time // from when on another one should be asked for
	expires time.Time
	refused bool // by a daemon, which need not mean that it is not valid
}

// tickets are what a client got by one login, and by asking for more since then. The zero
// value is that of a client that never logged in.
type tickets struct {
	globalID uint64
	auth     *held                 // nil: not logged in
	services map[entity.Type]*held // is never changed, but replaced
	// asked is when the client asked for tickets last.
	asked time.Time
	// challenge is the one that the monitor gave with the login: on the session that it
	// began, the login is renewed by another proof of the same challenge. renewable: it has
	// not refused that.
	challenge Challenge
	renewable bool
}

// ticketLifeMax bounds for how long a ticket is believed to be valid, whatever is said.
const ticketLifeMax = 10 * 365 * 24 * time.Hour

// take opens a ticket. k is what it is sealed with, old the session key that the client had
// with that service, nil if it had none.
func take(t Ticket, k, old Key, now time.Time) (*held, error) {
	st, err := t.Open(k)
	if err != nil {
		return nil, fmt.Errorf("the ticket for %s: %w", t.Service, err)
	}
	blob := t.Blob
	if t.BlobSealed {
		if old == nil {
			return nil, fmt.Errorf("the ticket for %s is sealed for a session key that there is not", t.Service)
		}
		if blob, err = old.Open(nil, UsageTicketBlob, blob); err != nil {
			return nil, fmt.Errorf("the ticket for %s: %w", t.Service, err)
		}
		r := denc.NewReader(blob)
		blob = r.BL()
		if err := r.End(); err != nil {
			return nil, fmt.Errorf("the ticket for %s: %w", t.Service, err)
		}
	}
	r := denc.NewReader(blob)
	b := ConsumeTicketBlob(&r)
	if err := r.End(); err != nil {
		return nil, fmt.Errorf("the ticket for %s: %w", t.Service, err)
	}
	b.Blob = append([]byte(nil), b.Blob...) // what it is parsed from is not kept
	life := min(st.Validity.Duration(), ticketLifeMax)
	return &held{key: st.SessionKey, blob: b, renew: now.Add(life - life/4), expires: now.Add(life)}, nil
}
