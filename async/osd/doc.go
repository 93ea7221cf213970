// Package osd reads and writes objects of a Ceph cluster: a thin client, by which the way to
// OSDs is shown to work.
//
// Where an object is it asks the monitor, with the command "osd map", once for each operation,
// instead of computing it from the OSD map (CRUSH): right for tools and tests, and too much work for
// the monitors of a busy cluster. There are no snapshots, no watches, and one
// operation for each request.
//
// # Promises
//
// An operation is asked again when its connection broke, its OSD moved or did not answer for
// Config.AnswerTimeout, until its context ends. It keeps its number and the client's, by which
// the placement group knows it: a write is carried out once, unless the OSDs forget it
// (osd_min_pg_log_entries others later). What was read is of one moment.
//
// What an OSD holds back (MOSDBackoff) is not sent to it until it says so, or the connection ends; the
// monitor is asked every Config.AnswerTimeout whether another OSD has the object meanwhile.
package osd
