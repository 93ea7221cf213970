package cephx

import (
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/denc"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
)

// monTicketLife is for how long the ticket is valid that one monitor shows another: it is
// made for one connection.
const monTicketLife = time.Hour

// ownTicket makes the ticket that a monitor shows to other monitors: sealed with the key of
// "mon.", which they have too, and good for everything.
func (c *Client) ownTicket() (*held, error) {
	now := c.cfg.Now()
	secret, err := c.random.bytes(secretLen(c.cfg.Key.Type()))
	if err != nil {
		return nil, err
	}
	session, err := newKey(c.cfg.Key.Type(), secret, timeAt(now).word())
	if err != nil {
		return nil, err
	}
	info := TicketInfo{
		Name: entity.AuthName{Type: entity.TypeMon, ID: c.cfg.Name.ID}, OldAUID: ^uint64(0),
		Created: timeAt(now), Expires: timeAt(now.Add(monTicketLife)),
		AllowAll: true, Caps: denc.AppendString(nil, ""), SessionKey: session,
	}
	blob, err := c.random.seal(c.cfg.Key, UsageTicketInfo, info.Append(nil))
	if err != nil {
		return nil, err
	}
	return &held{key: session, blob: TicketBlob{SecretID: SecretMon, Blob: blob}, renew: now.Add(monTicketLife),
		expires: now.Add(monTicketLife)}, nil
}
