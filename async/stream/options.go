package stream

import "fmt"

// Options of a Mux. The zero value works.
type Options struct {
	// Window is how many bytes a peer may send on one stream before they are read; 0 means
	// 256 KiB. On a long line a stream carries at most a Window for each round trip.
	Window int
	// WindowMin is what a stream gets in place of Window when more than half of what
	// BufferMax or ConnBufferMax allows is promised already; 0 means 16 KiB.
	WindowMin int
	// BufferMax bounds the bytes received and not read, over all connections, by bounding
	// the windows that are promised together; 0 means 1 GiB. ConnBufferMax is the same for
	// each connection; 0 means 256 MiB. At the bound streams are refused (ErrNoMemory),
	// those that exist go on.
	BufferMax, ConnBufferMax int64
	// StreamsMax bounds the streams of one connection, whoever dialled them; 0 means 4096.
	// At the bound streams are refused (ErrTooManyStreams).
	StreamsMax int
	// Backlog bounds the streams that wait for Accept of one service; 0 means 128. At the
	// bound streams are refused (ErrBacklogFull).
	Backlog int
	// PieceMax is how many bytes of a Write are sent as one message: between two of them,
	// messages of a higher priority get past; 0 means 64 KiB.
	PieceMax int
}

// Defaults and least values.
const (
	windowDefault    = 256 << 10
	windowMinDefault = 16 << 10
	bufferDefault    = 1 << 30
	connDefault      = 256 << 20
	streamsDefault   = 4096
	backlogDefault   = 128
	pieceDefault     = 64 << 10
)

func (o Options) withDefaults() (Options, error) {
	set := func(name string, v *int, def int) error {
		if *v == 0 {
			*v = def
		}
		if *v < 0 || *v > creditMax {
			return fmt.Errorf("stream: Options.%s is %d", name, *v)
		}
		return nil
	}
	for _, err := range []error{
		set("Window", &o.Window, windowDefault),
		set("WindowMin", &o.WindowMin, min(windowMinDefault, o.Window)),
		set("StreamsMax", &o.StreamsMax, streamsDefault),
		set("Backlog", &o.Backlog, backlogDefault),
		set("PieceMax", &o.PieceMax, pieceDefault),
	} {
		if err != nil {
			return o, err
		}
	}
	if o.BufferMax == 0 {
		o.BufferMax = bufferDefault
	}
	if o.ConnBufferMax == 0 {
		o.ConnBufferMax = connDefault
	}
	if o.BufferMax < 0 || o.ConnBufferMax < 0 {
		return o, fmt.Errorf("stream: Options.BufferMax is %d, ConnBufferMax %d", o.BufferMax, o.ConnBufferMax)
	}
	if o.WindowMin > o.Window {
		return o, fmt.Errorf("stream: Options.WindowMin is %d, more than Window, %d", o.WindowMin, o.Window)
	}
	return o, nil
}
