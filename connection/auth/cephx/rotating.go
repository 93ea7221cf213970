package cephx

import (
	"crypto/hmac"
	"crypto/sha256"
	"math"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
)

// rotation makes the rotating secrets of services out of the key of "mon." and the time: all
// monitors that have that key have the same ones, after a start too, and nothing has to be
// stored. Secret n of a service seals its tickets in the n-th period since 1970, and opens
// them in the next one too, for that is how long tickets live.
type rotation struct {
	mon  Key
	typ  KeyType // of the secrets
	life func(service entity.Type) time.Duration
}

// rotationLabel is what rotating secrets are derived under.
const rotationLabel = "asyncmsgr cephx rotating secret\x00"

// current is the number of the secret that is in use.
func (r *rotation) current(service entity.Type, now time.Time) uint64 {
	return uint64(max(now.Unix(), 0)) / r.seconds(service)
}

func (r *rotation) seconds(service entity.Type) uint64 {
	return uint64(max(r.life(service)/time.Second, 1))
}

// secret is number id of a service.
func (r *rotation) secret(service entity.Type, id uint64) RotatingSecret {
	h := hmac.New(sha256.New, secretOf(r.mon))
	h.Write([]byte(rotationLabel))
	h.Write(le.AppendUint64(le.AppendUint32(le.AppendUint16(nil, uint16(r.typ)), uint32(service)), id))
	k, err := NewKey(r.typ, h.Sum(nil)[:secretLen(r.typ)])
	if err != nil {
		panic("cephx: " + err.Error()) // the length is that of the type
	}
	end := min(id+1, math.MaxUint32) * r.seconds(service)
	return RotatingSecret{ID: id, Key: k, Expires: timeAt(time.Unix(int64(min(end, math.MaxUint32)), 0))}
}

// secrets are those that a service needs now: the last one, the one in use, and the next.
func (r *rotation) secrets(service entity.Type, now time.Time) (s RotatingSecrets) {
	n := r.current(service, now)
	for id := n - min(n, 1); id <= n+1; id++ {
		s.Secrets = append(s.Secrets, r.secret(service, id))
	}
	s.MaxID = n + 1
	return s
}

// find is the secret of a ticket that is shown now, if it can be one.
func (r *rotation) find(service entity.Type, id uint64, now time.Time) (Key, bool) {
	n := r.current(service, now)
	if id > n+1 || id+1 < n {
		return nil, false
	}
	return r.secret(service, id).Key, true
}
