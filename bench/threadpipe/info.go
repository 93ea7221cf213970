package threadpipe

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// ID implements msg.Connection.
func (p *Pipe) ID() uint64 { return p.id }

// State implements msg.Connection.
func (p *Pipe) State() msg.ConnState {
	if p.IsClosed() {
		return msg.StateClosed
	}
	return msg.ConnState(p.state.Load())
}

// LastError implements msg.Connection.
func (p *Pipe) LastError() error {
	if e := p.lastErr.Load(); e != nil {
		return *e
	}
	return nil
}

// IsConnected implements msg.Connection.
func (p *Pipe) IsConnected() bool { return p.connected.Load() }

// IsClosed implements msg.Connection.
func (p *Pipe) IsClosed() bool { return p.isClosed.Load() }

// IsLoopback implements msg.Connection.
func (p *Pipe) IsLoopback() bool { return false }

// PeerName implements msg.Connection.
func (p *Pipe) PeerName() entity.Name { return p.info.Load().name }

// PeerType implements msg.Connection.
func (p *Pipe) PeerType() entity.Type { return p.info.Load().name.Type }

// PeerAddrs implements msg.Connection.
func (p *Pipe) PeerAddrs() entity.AddrVec { return p.info.Load().addrs }

// PeerGlobalID implements msg.Connection.
func (p *Pipe) PeerGlobalID() uint64 { return p.info.Load().globalID }

// Features implements msg.Connection.
func (p *Pipe) Features() uint64 { return p.info.Load().features }

// Policy implements msg.Connection.
func (p *Pipe) Policy() msg.Policy { return p.info.Load().policy }

// LastKeepalive implements msg.Connection.
func (p *Pipe) LastKeepalive() time.Time { return fromNanos(p.lastKA.Load()) }

// LastKeepaliveAck implements msg.Connection.
func (p *Pipe) LastKeepaliveAck() time.Time { return fromNanos(p.lastKAAck.Load()) }

func fromNanos(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n)
}

// SetValue implements msg.Connection.
func (p *Pipe) SetValue(v any) {
	p.mu.Lock()
	p.value = v
	p.mu.Unlock()
}

// Value implements msg.Connection.
func (p *Pipe) Value() any {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.value
}

// String implements msg.Connection.
func (p *Pipe) String() string {
	i := p.info.Load()
	return fmt.Sprintf("pipe %d %s %s %s", p.id, i.name, i.addrs, p.State())
}

// LogValue makes slog print String only when it logs.
func (p *Pipe) LogValue() slog.Value {
	if p == nil {
		return slog.StringValue("none")
	}
	return slog.StringValue(p.String())
}
