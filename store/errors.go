package store

import (
	"fmt"
	"time"
)

// ErrClosed is the error of a closed store.
var ErrClosed error = closedError{}

type closedError struct{}

func (closedError) Error() string { return "store is closed" }

// RetryAfter is given because the program that takes over may serve.
func (closedError) RetryAfter() time.Duration { return time.Second }

// Unavailable tells it from overload.
func (closedError) Unavailable() bool { return true }

// OverloadError says that more waits to be stored than is allowed to.
type OverloadError struct {
	Waiting, Limit int64 // bytes
	Full           bool  // memory is: blocks are not written as fast as spans come
}

func (e *OverloadError) Error() string {
	if e.Full {
		return "the spans in memory have reached their bound and are being written to blocks: send again later"
	}
	return fmt.Sprintf("too much is waiting to be stored: %d bytes, limit %d: send again later", e.Waiting, e.Limit)
}

// RetryAfter is when to send the same again.
func (e *OverloadError) RetryAfter() time.Duration { return time.Second }
