// Package resolve says where entities are: it turns names ("osd.1") into addresses, tells
// when that changes, and keeps the connections of a messenger with who moved.
//
// # Maps and epochs
//
// A [Map] is all that a source says at a moment: names, their addresses, and an epoch, the
// number of the map. Maps never change; a change is another map with a higher epoch. A map
// with a lower epoch than the one that is known is old, whoever brings it: it is ignored and
// counted (Stats.Old). Two different maps with one epoch are a fault of their source: the
// second is refused and counted (Stats.Conflicts). A map that names two entities alike, at
// one address, is refused with a [*SameAddressError], since a connection could not tell
// which of them it leads to.
//
// # Sources
//
//	NewStatic   a map that the program sets
//	OpenFile    a text or JSON file, looked at once a second
//	OpenSRV     DNS SRV records, asked for every few seconds
//
// A source from elsewhere publishes its maps on a [Board], which is a [Resolver]. The folders
// below are modules of their own: etcd (leases and revisions) and, if present, gossip.
//
// The epochs of a file are those that it names; without one, and of SRV records, which have
// none, the resolver counts what changes, and its epochs mean nothing to another process.
//
// # Following
//
// A [Follower] connects a messenger with names:
//
//	f := resolve.NewFollower(m, resolve.FollowConfig{})
//	go f.Run(ctx, r)                         // until ctx ends
//	c, err := f.Dial(ctx, entity.OSD(1))     // as Messenger.ConnectTo
//
// When the addresses of a name change, its old connection is marked down and, if the
// name was dialled, a connection with the new addresses begins. What the old one still held
// is reported with msg.ErrMarkedDown, as by any MarkDown (Message.Notify,
// UndeliverableHandler): it is not sent again at the new place. The process there is another
// one, or another session of the same, and nobody knows here which of the unacknowledged
// messages the old one has handled; sending them again may do twice what was to be done
// once. Who sent them decides.
//
// A name that leaves the map keeps its connection (unless FollowConfig.DropAbsent): the
// messenger goes on trying, as it does for any peer that is away, and if the name comes back
// at the same addresses nothing has happened. If it comes back elsewhere it is followed.
//
// # Limitations
//
// An address is an IP address and a port: files hold no host names. A follower notices that
// another entity answers than the one it asked for (Stats.Misnamed) by its name; only
// authentication proves a name.
package resolve
