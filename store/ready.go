package store

import (
	"fmt"
	"time"
)

// stallAfter is how long payloads may wait without any answer before the store counts as not ready.
const stallAfter = 10 * time.Second

// Ready returns nil if the store takes spans, otherwise the reason. It never waits for other work of the store.
func (s *Store) Ready() error {
	if err := s.log.Trouble(); err != nil {
		return err
	}
	waiting, moved := s.waiting.Load(), s.moved.Load()
	if still := time.Duration(time.Now().UnixNano() - moved); waiting > 0 && still >= stallAfter {
		return &StalledError{Waiting: waiting, Since: still}
	}
	return nil
}

// StalledError reports that payloads wait and the store has stored none for stallAfter.
type StalledError struct {
	Waiting int64 // bytes of payload
	Since   time.Duration
}

func (e *StalledError) Error() string {
	return fmt.Sprintf("spans are not being stored: %d bytes have waited for %s without progress", e.Waiting, e.Since.Truncate(time.Second))
}
