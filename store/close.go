package store

import (
	"fmt"
	"time"
)

// closePatience is how long Close waits for the disk, and again for the applier.
const closePatience = 5 * time.Second

// Close stores and acknowledges waiting payloads, and then releases the directory lock. The order: queries lose
// their priority; Append refuses new payloads; the committer writes the waiting payloads; the applier adds them
// to the head and acknowledges them; the keeper stops deleting; the log syncs and releases the lock. Snapshots
// stay usable. The caller must stop the receivers first. A second Close returns the result of the first.
//
// Close takes bounded time. If the applier does not finish in time, its payloads stay in the log for the next
// start, and Close returns a *[StuckError]. If the disk does not answer, the process keeps the lock until it
// ends.
func (s *Store) Close() error {
	s.once.Do(func() {
		if err := s.shutDown(); err != nil {
			s.closeErr = fmt.Errorf("close store: %w", err)
		}
	})
	return s.closeErr
}

func (s *Store) shutDown() error {
	close(s.closing)
	done := make(chan error, 1)
	go func() { done <- s.drain() }()
	patience := time.NewTimer(closePatience)
	defer patience.Stop()
	select {
	case err := <-done:
		return err
	case <-patience.C:
	}
	stuck := &StuckError{Waiting: s.waiting.Load()}
	close(s.abandoned)
	patience.Reset(closePatience)
	select {
	case err := <-done:
		if err != nil {
			return err
		}
	case <-patience.C:
		stuck.Disk = true
	}
	return stuck
}

// drain is Close without the time limit.
func (s *Store) drain() error {
	s.log.Drain()
	close(s.commits)
	select {
	case <-s.applied:
	case <-s.abandoned:
	}
	close(s.stop)
	<-s.kept
	<-s.cutEnd
	<-s.compactEnd
	<-s.surveyEnd
	if !s.isAbandoned() {
		s.sealing.Wait()
	}
	return s.log.Close()
}

// StuckError says that Close did not wait for all work to end.
type StuckError struct {
	Waiting int64 // bytes of payload without an acknowledgement
	Disk    bool  // the disk did not answer either
}

func (e *StuckError) Error() string {
	if e.Disk {
		return fmt.Sprintf("the disk did not answer within %s: %d bytes of spans were not acknowledged", 2*closePatience, e.Waiting)
	}
	return fmt.Sprintf("%d bytes of spans are in the log but not in memory yet, and were not acknowledged: the next start reads them", e.Waiting)
}
