package tenants

import (
	"time"

	"etude/store"
)

// Options of a set.
type Options struct {
	// Store configures every store. Its Dir is the directory of the set; MaxDisk, HeadMaxBytes and HeadMaxSpans
	// bound all stores together.
	Store store.Options

	// Multi lets requests name their tenants. Without it every request belongs to tenant.Single.
	Multi bool
	// Most is the greatest number of tenants; the set refuses more. 0 means no limit.
	Most int

	// Rate is the bytes of spans per second that each tenant may send; 0 means no limit. Burst is the bytes
	// that it may send at once; 0 means the bytes of one second.
	Rate, Burst int64

	// Idle is how long the set keeps an empty store; 1 min.
	Idle time.Duration
	// Check is the interval at which the set divides the bounds and looks for empty stores; 250 ms.
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
