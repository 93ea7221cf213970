package mon

import (
	"fmt"

	"github.com/asyncmsgr/asyncmsgr/async/mon/wire"
)

// OSDMaps is the OSD map as the monitor encodes it: one as a whole, and the changes from it to
// the newest. The bytes must not be changed.
type OSDMaps struct {
	// Full is the whole map, of epoch Full.Epoch; without bytes: there is none.
	Full wire.MapBytes
	// Incremental are the changes of the epochs behind it, without a gap.
	Incremental []wire.MapBytes
	// Oldest is the oldest epoch that the monitor still had when it sent the last one.
	Oldest uint32
}

// Epoch is the newest one; 0: there is none.
func (o OSDMaps) Epoch() uint32 {
	if n := len(o.Incremental); n > 0 {
		return o.Incremental[n-1].Epoch
	}
	return o.Full.Epoch
}

// size is the bytes that are kept.
func (o OSDMaps) size() int {
	n := len(o.Full.Bytes)
	for _, x := range o.Incremental {
		n += len(x.Bytes)
	}
	return n
}

// add returns o with what a monitor has sent. whole says that the newest map is to be asked for
// as a whole: epochs are missing, or the changes have become more than max bytes. An error says
// that a map alone is more than that.
func (o OSDMaps) add(m wire.OSDMap, max int) (_ OSDMaps, whole bool, err error) {
	if n := len(m.Full); n > 0 && m.Full[n-1].Epoch > o.Epoch() {
		full := m.Full[n-1]
		if len(full.Bytes) > max {
			return o, false, fmt.Errorf("%w: the OSD map of epoch %d is of %d bytes, Config.MapBytesMax is %d",
				ErrTooLarge, full.Epoch, len(full.Bytes), max)
		}
		o.Full, o.Incremental = full, nil
	}
	o.Oldest = m.Oldest
	for _, x := range m.Incremental {
		switch {
		case x.Epoch <= o.Epoch():
		case x.Epoch != o.Epoch()+1 || o.Full.Bytes == nil:
			return OSDMaps{}, true, nil
		default:
			o.Incremental = append(o.Incremental, x) // who has the slice already does not see it
		}
	}
	if o.size() > max {
		return OSDMaps{}, true, nil
	}
	return o, false, nil
}
