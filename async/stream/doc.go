// Package stream carries byte streams over the connections of a messenger: net.Conn and
// net.Listener, many at a time over one session.
package stream
