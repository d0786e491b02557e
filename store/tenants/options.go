package tenants

import (
	"time"

	"etude/store"
)

// Options of a set.
type Options struct {
	// Store configures every store. Its Dir is that of the set; MaxDisk,
	// HeadMaxBytes and HeadMaxSpans bound all stores together.
	Store store.Options

	// Multi lets requests name their tenants. Without it every request is of
	// tenant.Single.
	Multi bool
	// Most is how many tenants there may be; more are refused. 0 means any number.
	Most int

	// Rate is how many bytes of spans a second each tenant may send, Burst how many
	// at once. 0 means no rate limit, and a burst of one second.
	Rate, Burst int64

	// Idle is how long an empty store stays; 1 min.
	Idle time.Duration
	// Check is how often bounds are shared out and empty stores looked for; 250 ms.
	Check time.Duration
}

func (o *Options) setDefaults() {
	if !o.Multi {
		o.Most = 1
	}
	if o.Idle <= 0 {
		o.Idle = time.Minute
	}
	if o.Check <= 0 {
		o.Check = 250 * time.Millisecond
	}
}
