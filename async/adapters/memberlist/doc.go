// Package memberlistmsgr is a transport for github.com/hashicorp/memberlist over a
// messenger:
//
//	t, err := memberlistmsgr.New(m, memberlistmsgr.Options{})
//	conf.Transport = t
//	list, err := memberlist.Create(conf)
//
// Packets are messages, and streams are streams of async/stream, over the one connection
// that two messengers have. A packet need not fit into a datagram, is not lost on a
// connection that holds, and is dropped when it has waited for Options.PacketLife. A
// connection that breaks is made anew; what was sent shortly before arrives then, late.
package memberlistmsgr
