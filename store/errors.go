package store

import (
	"fmt"
	"time"
)

// ErrClosed is the error of a closed store.
var ErrClosed error = closedError{}

type closedError struct{}

func (closedError) Error() string { return "store is closed" }

// RetryAfter is set because another process may take over the directory.
func (closedError) RetryAfter() time.Duration { return time.Second }

// Unavailable distinguishes it from overload.
func (closedError) Unavailable() bool { return true }

// OverloadError reports that the payloads waiting to be stored exceed the limit.
type OverloadError struct {
	Waiting, Limit int64 // bytes
	Full           bool  // the head is full, because spans arrive faster than the cutter writes blocks
}

func (e *OverloadError) Error() string {
	if e.Full {
		return "the spans in memory have reached their bound and are being written to blocks: send again later"
	}
	return fmt.Sprintf("too much is waiting to be stored: %d bytes, limit %d: send again later", e.Waiting, e.Limit)
}

// RetryAfter returns how long the client should wait before it sends the payload again.
func (e *OverloadError) RetryAfter() time.Duration { return time.Second }
