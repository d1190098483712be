package sim

import (
	"hash/fnv"
	"math/rand/v2"
	"sync"
	"time"
)

// chance decides for one actor. Each actor has its own, made from the seed and the actor's name, so that what one draws
// does not depend on when the others do.
type chance struct {
	mu     sync.Mutex
	random *rand.Rand
}

func newChance(seed uint64, actor string) *chance {
	name := fnv.New64a()
	name.Write([]byte(actor))
	return &chance{random: rand.New(rand.NewPCG(seed, name.Sum64()))}
}

// below returns a number from 0 to n-1.
func (c *chance) below(n int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.random.IntN(n)
}

// once is true one time in n; never if n is 0.
func (c *chance) once(n int) bool { return n > 0 && c.below(n) == 0 }

// upTo returns a duration below d, to the nanosecond: so hardly anything happens at the same moment as something else, and
// the order of events does not depend on the scheduler.
func (c *chance) upTo(d time.Duration) time.Duration { return time.Duration(c.below(int(d)) + 1) }

// id returns random bytes for an id.
func (c *chance) id() (id [16]byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range id {
		id[i] = byte(c.random.Uint32())
	}
	return id
}
