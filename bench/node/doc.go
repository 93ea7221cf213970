// Package node is an object store on several machines, each a process with a messenger: msgr
// node. It shows how a system of nodes is built on asyncmsgr, and keeps what it promises when
// nodes die and networks break. cmap.go has the map, coordinate.go reads and writes, agree.go
// how maps are agreed, recover.go recovery, network.go the messenger.
//
// # What is promised
//
// Each object is as if one machine had it, which does one thing at a time (it is
// linearizable): a read gives the newest acknowledged write, or one that was under way at the
// time, and never an older one than another read has given before. A write that was
// acknowledged is on two of three copies; with folders (--data) it is on disk on both.
//
// What is not there is refused, not invented: where a majority of an object's copies is not
// reached, reads and writes of it fail (ErrUnavailable) until it is.
//
// # Copies
//
// Three members have an object, by rendezvous hashing of its key over the members of the
// map; two of the three have to answer. A write has a version, a counter above what two of
// three know and a number drawn for it, which the client chooses once and keeps in all its
// attempts: that makes an attempt that comes late harmless, since a newer one is there. A copy
// takes what is newer than what it has. A read asks two of three and takes the newest; if
// not two had that, it writes it back first, so that the next read does not find less.
// (This is the register of Attiya, Bar-Noy and Dolev, with many writers.) Any two majorities
// of one set of three have a member in common: that is why a read finds the write.
//
// # Maps
//
// It is not enough when the three change. A map has an epoch, the Members, and sometimes Old.
//
//   - A request to a copy names the epoch of who asks, and a copy with another map refuses
//     it (and tells the newer one). A node remembers a map, on disk if it has one, before it
//     does anything by it. So after a node has told anybody of a map, it does nothing by
//     an earlier one.
//   - When Members change, those of before become Old. As long as there is Old, reads and
//     writes need a majority of the three among Members and a majority of the three among
//     Old, all by the same map.
//   - Meanwhile each member fetches the newest of what is its own from Old, from so many of
//     them that of any three of Old two were asked: all but one. When all members have said
//     that they are done for this very epoch, a map follows without Old.
//
// A write that was acknowledged by the last map before is on two of three of Old, and each of
// these had not yet seen the map with Old when it took it. Who fetches asks them when they
// have: it sees the write. A write during the change is with both majorities, and stays found
// whichever way the change ends. If the Members change again before the end, Old stays: only
// that has all for sure. If they become what Old is, Old is left out: its majority has all.
//
// # A life
//
// A member is a name and a life, a number that is drawn when a node begins without
// memory of before. A node that comes back without its data is another member: its answers
// do not count for the one that is gone, and it is taken in by a change of the map, for which
// it fetches from the two that are left. So with memory alone one of three may be lost at a
// time. A node with a folder comes back as itself, and all may die at once.
//
// # How a map is agreed
//
// The map after one of epoch e is decided once, by Paxos among the Members of e (agree.go),
// of whom a majority has to take part; with etcd, by etcd, in which the map is a key that is
// replaced if it is as it was. Either way at most one map follows another, so that a part of
// the network that is cut off cannot go its own way: it has no majority, its copies refuse
// what the others' map does not allow as soon as they hear of it, and of each object whose
// majority was on its side the others have none, and wait.
//
// The first map needs all of those who are to found the cluster (Initial), without a map, to
// promise: one of them who knows of a cluster keeps a second one from being founded, also
// when all others have lost their memory. It draws the number of the cluster; nodes of two
// clusters refuse each other.
//
// Which map is needed is a pure function (next) of the map and of who was heard of lately,
// and the member with the lowest name proposes it. It sees the nodes by their greetings,
// several times a second: name, life, address, epoch, whether they have fetched what is
// theirs, and whether they want to leave. Who was not heard of for DownAfter is left out, as
// long as three members remain and a majority is heard of; who is there and not in the map is
// taken in. Who sees it wrong does no harm: it proposes what is not needed, or nothing.
//
// # Leaving
//
// A node that leaves says so, serves on until there is a map in which it is neither in Members
// nor in Old, and ends. With three members or fewer it cannot: its copies would be gone.
//
// # Limitations
//
// Objects are held in memory; the folder only brings them back. A deleted object leaves its
// key and version for ever. The log is made shorter when a node begins. An object has at most
// 1 MiB. Members that are all lost with their memory are lost: nothing brings a cluster back
// whose majority is gone for good. Nodes are trusted: who may connect may say what it likes
// (--secret-file keeps others out).
package node
