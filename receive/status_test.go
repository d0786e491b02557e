package receive

import "time"

// The kinds of error a Sink may return.

type invalidSpans struct{}

func (invalidSpans) Error() string      { return "trace id is zero" }
func (invalidSpans) InvalidSpans() bool { return true }

type comeBack struct{}

func (comeBack) Error() string             { return "busy" }
func (comeBack) RetryAfter() time.Duration { return 1500 * time.Millisecond }

type diskFull struct{}

func (diskFull) Error() string             { return "disk is full" }
func (diskFull) RetryAfter() time.Duration { return 5 * time.Second }
func (diskFull) Unavailable() bool         { return true }
