package dispatch

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// The design of docs/SCALING.md, one shard of the queue for each worker with stealing, as a
// model that runs: it says what order such a queue has before there is one. Every step of an
// actor is what one visit under a shard's lock, or one atomic operation, would be; the
// schedule, from a seed, picks who makes the next one.

// shardQueue is the queue.
type shardQueue struct {
	shards   []*modelShard
	jobs     []*modelJob // those that live
	width    int
	running  int // jobs that count against width; one atomic number
	stopping bool
	stopped  bool // Stop has been at all shards
	callback int  // callbacks that run

	r      *rand.Rand
	flaw   string // what is done wrong on purpose
	now    int    // steps so far
	seq    int
	actors []*modelActor
	wrong  string // the first violation

	last                          map[[2]int]int // by class and level: the item dispatched last
	inside                        map[int]bool   // classes whose callback runs
	enqueued, dispatched, dropped int
	steals, revokes               int
}

// modelShard has the connections whose home it is. A connection's home never changes.
type modelShard struct {
	classes []*modelClass
	top     int // published: the key of the best that can be dispatched; 0: nothing
}

type modelClass struct {
	id, home  int
	items     []*modelItem
	busy      bool
	idleSince int
}

type modelItem struct {
	class, level, seq int
	pushed            int // when
}

// eventTop is the level of events.
const eventTop = 256

// key orders what is dispatched: by level, and events by their arrival.
func (it *modelItem) key() int {
	const arrivals = 1 << 20
	if it.level == eventTop {
		return it.level*arrivals + arrivals - it.seq
	}
	return it.level * arrivals
}

// modelJob is a drain job.
type modelJob struct {
	home  int // the shard that it looks at first
	class *modelClass
	items []*modelItem // of the turn, not claimed; under the lock of the class's home
	key   int          // published: of the turn; 0: none
	runs  bool         // past the second look: callbacks are begun
	since int          // when the second look began
	late  bool         // something better came after since, and its enqueueing has ended
	turn  int
	stuck bool
}

// modelStep is what an actor does next; nil: it has ended.
type modelStep func() modelStep

type modelActor struct{ next modelStep }

func (q *shardQueue) spawn(s modelStep) { q.actors = append(q.actors, &modelActor{s}) }

func (q *shardQueue) fail(format string, args ...any) {
	if q.wrong == "" {
		q.wrong = fmt.Sprintf("step %d: ", q.now) + fmt.Sprintf(format, args...)
	}
}

// best is what would be dispatched next of a class: its events, then its highest level, each
// in the order of arrival.
func (c *modelClass) best() (b *modelItem) {
	for _, it := range c.items {
		if b == nil || it.key() > b.key() {
			b = it
		}
	}
	return b
}

// bestOf is the class whose turn it is in a shard; nil: none can be dispatched. Of equals
// the one whose item waits longest has the turn.
func bestOf(s *modelShard) (best *modelClass) {
	for _, c := range s.classes {
		if c.busy || len(c.items) == 0 {
			continue
		}
		if best == nil || c.best().key() > best.best().key() ||
			c.best().key() == best.best().key() && c.best().pushed < best.best().pushed {
			best = c
		}
	}
	return best
}

// publish sets top; under the shard's lock.
func (s *modelShard) publish() {
	s.top = 0
	if c := bestOf(s); c != nil {
		s.top = c.best().key()
	}
}

// enqueue brings n items of a class and level.
func (q *shardQueue) enqueue(c *modelClass, level, n int) modelStep {
	s := q.shards[c.home]
	return func() modelStep { // under the lock of the home
		if q.stopping {
			q.enqueued, q.dropped = q.enqueued+n, q.dropped+n
			return nil
		}
		for range n {
			q.seq++
			c.items = append(c.items, &modelItem{class: c.id, level: level, seq: q.seq, pushed: q.now})
		}
		q.enqueued += n
		first := c.items[len(c.items)-n]
		s.publish()
		return q.preempt(slices.Clone(q.jobs), first, func() modelStep { return q.start(c.home) })
	}
}

// preempt ends the turns of those jobs that are of less than what was enqueued, one after
// the other. What is left of a turn goes back under the lock that its beginning and its end
// take.
func (q *shardQueue) preempt(jobs []*modelJob, it *modelItem, then modelStep) modelStep {
	if q.flaw == "no preemption" {
		jobs = nil
	}
	if len(jobs) == 0 {
		for _, j := range q.jobs {
			if j.runs && j.key < it.key() && j.since < it.pushed {
				j.late = true
			}
		}
		return then
	}
	j := jobs[0]
	return func() modelStep {
		if j.key == 0 || j.key >= it.key() {
			return q.preempt(jobs[1:], it, then)
		}
		if q.flaw == "put back without the lock" {
			rest, c := j.items, j.class
			j.items = nil
			return func() modelStep {
				q.putBack(c, rest)
				return q.preempt(jobs[1:], it, then)
			}
		}
		q.takeBack(j)
		return q.preempt(jobs[1:], it, then)
	}
}

// takeBack puts what is left of a turn back; under the lock of the class's home.
func (q *shardQueue) takeBack(j *modelJob) {
	if j.class == nil || len(j.items) == 0 {
		return
	}
	q.revokes++
	q.putBack(j.class, j.items)
	j.items = nil
}

func (q *shardQueue) putBack(c *modelClass, rest []*modelItem) {
	c.items = append(slices.Clone(rest), c.items...)
	q.shards[c.home].publish()
}

// start starts a job if there is room, as one atomic operation.
func (q *shardQueue) start(home int) modelStep {
	if q.flaw == "count read and written" {
		return func() modelStep {
			n := q.running
			if n >= q.width {
				return nil
			}
			return func() modelStep {
				q.running = n + 1
				q.newJob(home)
				return nil
			}
		}
	}
	return func() modelStep {
		if q.running < q.width {
			q.running++
			q.newJob(home)
		}
		return nil
	}
}

func (q *shardQueue) newJob(home int) {
	j := &modelJob{home: home}
	q.jobs = append(q.jobs, j)
	if n := len(slices.DeleteFunc(slices.Clone(q.jobs), func(j *modelJob) bool { return j.stuck })); n > q.width {
		q.fail("%d jobs with width %d", n, q.width)
	}
	q.spawn(q.look(j))
}

// each reads the tops of all shards, the job's home first, one at a time.
func (q *shardQueue) each(j *modelJob, see func(shard, top int), then modelStep) modelStep {
	var at func(k int) modelStep
	at = func(k int) modelStep {
		if k == len(q.shards) {
			return then
		}
		return func() modelStep {
			i := (j.home + k) % len(q.shards)
			see(i, q.shards[i].top)
			if q.flaw == "its own shard first" && k == 0 && q.shards[i].top > 0 {
				return then
			}
			return at(k + 1)
		}
	}
	return at(0)
}

// look finds the shard with the best, and takes a turn of it.
func (q *shardQueue) look(j *modelJob) modelStep {
	best, from := 0, -1
	return q.each(j, func(shard, top int) {
		if top > best {
			best, from = top, shard
		}
	}, func() modelStep {
		if from < 0 {
			return q.end(j)
		}
		return q.take(j, from, best)
	})
}

// take begins a turn of a class of that shard, if the best there is no less than what the
// look found; under the shard's lock. The class stays where it is, and is busy.
func (q *shardQueue) take(j *modelJob, from, best int) modelStep {
	c := bestOf(q.shards[from])
	if c == nil || c.best().key() < best {
		return q.look(j)
	}
	if q.flaw == "items move to the thief" && from != j.home {
		s := q.shards[from]
		s.classes = slices.DeleteFunc(s.classes, func(x *modelClass) bool { return x == c })
		s.publish()
		moved := &modelClass{id: c.id, home: j.home, items: c.items}
		c.items = nil
		s.classes = append(s.classes, c) // the connection's next items come here again
		q.shards[j.home].classes = append(q.shards[j.home].classes, moved)
		q.shards[j.home].publish()
		return q.look(j)
	}
	if from != j.home {
		q.steals++
	}
	first := c.best()
	most := 1 + q.r.IntN(4)
	if first.level == eventTop {
		most = 1
	}
	j.class, j.items, j.late, j.runs = c, nil, false, false
	j.turn++
	c.items = slices.DeleteFunc(c.items, func(it *modelItem) bool {
		if len(j.items) < most && it.key() == first.key() {
			j.items = append(j.items, it)
			return true
		}
		return false
	})
	c.busy = true
	q.shards[from].publish()
	return func() modelStep {
		j.key = first.key() // published, before the second look
		return q.lookAgain(j)
	}
}

// lookAgain makes sure that nothing better has come that has not seen the turn.
func (q *shardQueue) lookAgain(j *modelJob) modelStep {
	j.since = q.now
	better := false
	run := func() modelStep {
		if better && q.flaw != "no second look" {
			q.takeBack(j)
			return q.done(j, q.look(j))
		}
		j.runs = true
		return q.claim(j)
	}
	return q.each(j, func(_, top int) { better = better || top > j.key }, run)
}

// claim begins the next callback of the turn.
func (q *shardQueue) claim(j *modelJob) modelStep {
	if len(j.items) == 0 {
		return q.done(j, q.look(j))
	}
	return func() modelStep {
		if len(j.items) == 0 { // revoked meanwhile
			return q.done(j, q.look(j))
		}
		it := j.items[0]
		j.items = j.items[1:]
		q.judge(j, it)
		q.callback++
		q.inside[it.class] = true
		return q.inCallback(j, it, j.turn, q.r.IntN(6))
	}
}

// judge says whether it may be dispatched now.
func (q *shardQueue) judge(j *modelJob, it *modelItem) {
	if q.stopped {
		q.fail("item %d is dispatched after Stop", it.seq)
	}
	if q.inside[it.class] {
		q.fail("item %d is dispatched during another callback of class %d", it.seq, it.class)
	}
	if at := [2]int{it.class, it.level}; q.last[at] > it.seq {
		q.fail("item %d of class %d, level %d, after %d", it.seq, it.class, it.level, q.last[at])
	} else {
		q.last[at] = it.seq
	}
	if j.late {
		q.fail("item %d, level %d: something better was enqueued during the turn", it.seq, it.level)
	}
	for _, s := range q.shards {
		for _, c := range s.classes {
			if c.busy || c.idleSince >= j.since || len(c.items) == 0 {
				continue
			}
			if b := c.best(); b.key() > it.key() && b.pushed < j.since {
				q.fail("item %d, level %d, before %d, level %d, which waited", it.seq, it.level, b.seq, b.level)
			}
		}
	}
	for _, x := range j.class.items {
		if x.level == eventTop && x.seq < it.seq && it.level != eventTop && x.pushed < j.since {
			q.fail("item %d before the event %d of its connection", it.seq, x.seq)
		}
	}
}

// inCallback stays in the callback for some steps, and may be found to be stuck meanwhile.
func (q *shardQueue) inCallback(j *modelJob, it *modelItem, turn, left int) modelStep {
	return func() modelStep {
		if left > 0 {
			return q.inCallback(j, it, turn, left-1)
		}
		q.callback--
		delete(q.inside, it.class)
		q.dispatched++
		if !j.stuck {
			return q.claim(j)
		}
		return q.done(j, q.back(j))
	}
}

// back is what a job does that was stuck: it goes on if there is room again.
func (q *shardQueue) back(j *modelJob) modelStep {
	return func() modelStep {
		if q.running >= q.width {
			q.retire(j)
			return nil
		}
		q.running++
		j.stuck = false
		return q.look(j)
	}
}

// done ends the turn; under the lock of the class's home.
func (q *shardQueue) done(j *modelJob, then modelStep) modelStep {
	return func() modelStep {
		c := j.class
		if len(j.items) > 0 {
			q.fail("a turn ends with %d items", len(j.items))
		}
		c.busy, c.idleSince = false, q.now
		j.class, j.key, j.runs, j.late = nil, 0, false, false
		q.shards[c.home].publish()
		return then
	}
}

// end gives the job's place up, and then looks once more: who enqueues publishes, and then
// looks at the places.
func (q *shardQueue) end(j *modelJob) modelStep {
	return func() modelStep {
		q.running--
		q.retire(j)
		if q.flaw == "no look at the end" {
			return nil
		}
		more := false
		return q.each(j, func(_, top int) { more = more || top > 0 }, func() modelStep {
			if !more {
				return nil
			}
			return q.start(j.home)
		})
	}
}

func (q *shardQueue) retire(j *modelJob) {
	q.jobs = slices.DeleteFunc(q.jobs, func(x *modelJob) bool { return x == j })
}

// check finds a callback that is stuck: what is left of its turn goes back, its place is
// free, and another job has it.
func (q *shardQueue) check(j *modelJob) modelStep {
	return func() modelStep { // under the lock of the class's home
		if j.class == nil || !j.runs || j.stuck || !q.inside[j.class.id] {
			return nil
		}
		q.takeBack(j)
		j.stuck = true
		home := j.class.home
		return func() modelStep {
			q.running--
			return q.start(home)
		}
	}
}

// discard takes out what is queued of a class; under the lock of its home.
func (q *shardQueue) discard(c *modelClass) modelStep {
	return func() modelStep {
		keep := slices.DeleteFunc(slices.Clone(c.items), func(it *modelItem) bool { return it.level != eventTop })
		q.dropped += len(c.items) - len(keep)
		c.items = keep
		for _, j := range q.jobs {
			if j.class == c && q.flaw != "discard leaves turns" {
				q.dropped += len(j.items)
				j.items = nil
			}
		}
		q.shards[c.home].publish()
		newest := q.seq
		for _, j := range q.jobs {
			for _, it := range j.items {
				if it.class == c.id && it.seq <= newest {
					q.fail("item %d is left of a class that was discarded", it.seq)
				}
			}
		}
		return nil
	}
}

// stop refuses items, and then goes through the shards.
func (q *shardQueue) stop() modelStep {
	var at func(k int) modelStep
	at = func(k int) modelStep {
		if k == len(q.shards) {
			return func() modelStep {
				if q.callback == 0 {
					q.stopped = true
					return nil
				}
				return at(k)
			}
		}
		return func() modelStep { // under the shard's lock
			s := q.shards[k]
			for _, c := range s.classes {
				q.dropped += len(c.items)
				c.items = nil
				for _, j := range q.jobs {
					if j.class == c {
						q.dropped += len(j.items)
						j.items = nil
					}
				}
			}
			s.publish()
			return at(k + 1)
		}
	}
	return func() modelStep {
		q.stopping = true
		return at(0)
	}
}

// runShardModel runs one schedule, and returns what was wrong with it.
func runShardModel(seed uint64, flaw string) *shardQueue {
	r := rand.New(rand.NewPCG(seed, 1))
	q := &shardQueue{
		r: r, flaw: flaw, width: 1 + r.IntN(4), last: map[[2]int]int{}, inside: map[int]bool{},
	}
	for range 1 + r.IntN(4) {
		q.shards = append(q.shards, new(modelShard))
	}
	var classes []*modelClass
	for id := range 1 + r.IntN(5) {
		c := &modelClass{id: id + 1, home: r.IntN(len(q.shards)), idleSince: -1}
		classes = append(classes, c)
		q.shards[c.home].classes = append(q.shards[c.home].classes, c)
	}
	ends := r.IntN(3) == 0
	reader := map[int]bool{} // classes that somebody enqueues for: one at a time does, their worker
	for left := 30 + r.IntN(50); left > 0 || len(q.actors) > 0; q.now++ {
		if left > 0 && (len(q.actors) == 0 || r.IntN(8) == 0) {
			left--
			c := classes[r.IntN(len(classes))]
			switch n := r.IntN(24); {
			case n == 0:
				q.spawn(q.discard(c))
			case n == 1 && len(q.jobs) > 0:
				q.spawn(q.check(q.jobs[r.IntN(len(q.jobs))]))
			case reader[c.id]:
			default:
				level := []int{64, 127, 127, 127, 196, eventTop}[r.IntN(6)]
				n := 1 + r.IntN(5)
				if level == eventTop {
					n = 1
				}
				reader[c.id] = true
				q.spawn(q.ending(q.enqueue(c, level, n), func() { delete(reader, c.id) }))
			}
			if left == 0 && ends {
				q.spawn(q.stop())
			}
			continue
		}
		i := r.IntN(len(q.actors))
		if a := q.actors[i]; a.next != nil {
			a.next = a.next()
		}
		if q.actors[i].next == nil {
			q.actors = slices.Delete(q.actors, i, i+1)
		}
		if q.wrong != "" {
			return q
		}
		if q.now > 1_000_000 {
			q.fail("it does not end")
			return q
		}
	}
	for i, s := range q.shards {
		for _, c := range s.classes {
			if len(c.items) > 0 {
				q.fail("%d items of class %d are left in shard %d, and no job", len(c.items), c.id, i)
			}
		}
	}
	if q.running != 0 || len(q.jobs) != 0 {
		q.fail("%d jobs are left, %d counted", len(q.jobs), q.running)
	}
	if q.dispatched+q.dropped != q.enqueued {
		q.fail("%d of %d items dispatched, %d dropped", q.dispatched, q.enqueued, q.dropped)
	}
	return q
}

// ending calls done after the last step of s.
func (q *shardQueue) ending(s modelStep, done func()) modelStep {
	return func() modelStep {
		if s = s(); s == nil {
			done()
			return nil
		}
		return q.ending(s, done)
	}
}

// shardSeeds is how many schedules are tried.
const shardSeeds = 5_000

var shardSeed = flag.Uint64("shard-seed", 0, "run this schedule of TestShardModel only")

// TestShardModel: with one shard a worker and stealing, callbacks of a connection never
// overlap and have their order by priority; no turn begins, or goes on, while something
// better waits that was there before; nothing is lost, and what can be dispatched has a job;
// Width, Discard, Stop and stuck callbacks are as with one queue.
func TestShardModel(t *testing.T) {
	first, n := rand.Uint64(), shardSeeds
	if testing.Short() {
		n /= 5
	}
	if *shardSeed != 0 {
		q := runShardModel(*shardSeed, "")
		require.Empty(t, q.wrong)
		t.Skipf("one schedule: %d items dispatched", q.dispatched)
	}
	t.Logf("seeds from %d on", first)
	var dispatched, steals, revokes int
	for i := range n {
		q := runShardModel(first+uint64(i), "")
		require.Empty(t, q.wrong, "-shard-seed %d", first+uint64(i))
		dispatched, steals, revokes = dispatched+q.dispatched, steals+q.steals, revokes+q.revokes
	}
	require.Positive(t, steals)
	require.Positive(t, revokes)
	t.Logf("%d schedules: %d items, %d turns stolen, %d taken back", n, dispatched, steals, revokes)
}

// TestShardModelSees: each of these would be an error in the design, and some schedule shows
// it.
func TestShardModelSees(t *testing.T) {
	for flaw, says := range map[string]string{
		"its own shard first":       "which waited",
		"no second look":            "",
		"no preemption":             "enqueued during the turn",
		"put back without the lock": "",
		"items move to the thief":   "",
		"count read and written":    "",
		"no look at the end":        "and no job",
		"discard leaves turns":      "discarded",
	} {
		t.Run(flaw, func(t *testing.T) {
			for seed := range uint64(shardSeeds) {
				if q := runShardModel(seed, flaw); q.wrong != "" {
					require.Contains(t, q.wrong, says)
					t.Logf("seed %d: %s", seed, q.wrong)
					return
				}
			}
			t.Errorf("no schedule of %d shows it", shardSeeds)
		})
	}
}
