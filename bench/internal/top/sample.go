package top

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/admin"
)

// Sample is what messenger dump says, as far as it is shown.
type Sample struct {
	Messengers []Messenger `json:"messengers"`
}

// Messenger is one, with its connections.
type Messenger struct {
	Name       string    `json:"name"`
	Time       time.Time `json:"time"`
	Life       string    `json:"life"`
	SendBytes  int64     `json:"send_bytes"`
	Count      int       `json:"connections_count"`
	Handshakes int       `json:"handshakes_count"`
	Absent     int       `json:"absent_count"`
	Left       int       `json:"connections_left_out"`
	Queue      struct {
		Length int     `json:"length"`
		Age    float64 `json:"max_age_ago"`
		Stuck  int     `json:"stuck"`
	} `json:"dispatch_queue"`
	Throttle struct {
		Held    int64 `json:"val"`
		Max     int64 `json:"max"`
		Waiting int   `json:"waiting"`
	} `json:"dispatch_throttle"`
	Connections []Connection `json:"connections"`
}

// Connection is one of a messenger, with what it counted since it began.
type Connection struct {
	ID   uint64 `json:"conn_id"`
	Peer struct {
		Name  string `json:"entity_name"`
		Addrs string `json:"addrs"`
	} `json:"peer"`
	State  string `json:"state"`
	Remote string `json:"remote_addr"`
	Status struct {
		Loopback bool `json:"loopback"`
	} `json:"status"`
	Received      uint64  `json:"received"`
	ReceivedBytes uint64  `json:"received_bytes"`
	Sent          uint64  `json:"sent"`
	SentBytes     uint64  `json:"sent_bytes"`
	Queue         int     `json:"send_queue"`
	QueueBytes    int64   `json:"send_queue_bytes"`
	Stalled       float64 `json:"send_queue_stalled_for"`
	Ack           float64 `json:"ack_time"`
	ThrottledBy   string  `json:"throttled_by"`
	Faults        uint64  `json:"faults"`
	LastError     string  `json:"last_error"`
}

// Ask asks the socket at path for a Sample with at most max connections of each messenger. An
// error says why it is not to be had, and what to do.
func Ask(path string, max int, timeout time.Duration) (*Sample, error) {
	command, _ := json.Marshal(map[string]any{"prefix": "messenger dump", "max": max}) // it cannot fail
	b, err := admin.Ask(path, command, timeout)
	if err != nil {
		return nil, fmt.Errorf("%w%s", err, hint(err))
	}
	if admin.IsRefusal(b) {
		return nil, fmt.Errorf("%s: %s (is it a daemon of Ceph's? those have no messenger dump; see msgr dump)", path,
			strings.ReplaceAll(strings.TrimSpace(string(b)), "\n", ": "))
	}
	s := new(Sample)
	if err := json.Unmarshal(b, s); err != nil {
		return nil, fmt.Errorf("%s: the answer is none of messenger dump's: %w", path, err)
	}
	return s, nil
}

// hint says what may be wrong with a socket.
func hint(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "; no process has made an admin socket there: is the path right, does it run with --admin?"
	case errors.Is(err, fs.ErrPermission):
		return "; it is for its owner alone: be the user of the process, or root"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "; the process that made it has ended"
	}
	return ""
}
