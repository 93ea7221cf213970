package async

import (
	"container/list"
	"net/netip"
)

// turns are jobs that wait, for hosts that have turns: of each the oldest one, and then
// the next host's, so that who brings many waits for itself: see
// docs/decisions/0012-who-comes-with-many-waits-for-itself.md.
type turns struct {
	n     int
	hosts map[netip.Addr]*list.Element // of order
	order list.List                    // of *turn: whose turn it is next comes first
}

// turn is a host's: its jobs, the oldest first.
type turn struct {
	host netip.Addr
	jobs []func()
}

func (t *turns) put(host netip.Addr, job func()) {
	at := t.hosts[host]
	if at == nil {
		at = t.order.PushBack(&turn{host: host})
		if t.hosts == nil {
			t.hosts = map[netip.Addr]*list.Element{}
		}
		t.hosts[host] = at
	}
	x := at.Value.(*turn)
	x.jobs = append(x.jobs, job)
	t.n++
}

// take returns the job whose turn it is. There is one.
func (t *turns) take() (job func()) {
	at := t.order.Front()
	x := at.Value.(*turn)
	job, x.jobs[0] = x.jobs[0], nil
	if x.jobs = x.jobs[1:]; len(x.jobs) == 0 {
		t.order.Remove(at)
		delete(t.hosts, x.host)
	} else {
		t.order.MoveToBack(at)
	}
	t.n--
	return job
}
