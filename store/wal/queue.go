package wal

import "sync"

// Entry is one payload on its way into the log. The caller may use it again when
// Committed has returned it.
type Entry struct {
	Owner any // the caller's

	Segment uint64 // where it was written; set before Committed
	Err     error  // why it was not; set before Committed
	Rotated bool   // not a payload, but the answer to Rotate

	record []byte
	spans  int
	raw    int
}

// Encode compresses a payload into the entry's own memory, so that afterwards
// the payload is the caller's again. A *[PayloadError] says that it is too large.
func (e *Entry) Encode(payload []byte, spans int, arrival int64) error {
	if len(payload) > MaxPayload {
		return &PayloadError{Size: len(payload)}
	}
	*e = Entry{Owner: e.Owner, spans: spans, raw: len(payload), record: e.record}
	e.record = appendRecord(e.record, payload, spans, arrival)
	return nil
}

// Payload returns what Encode was given, in dst's memory when that is large
// enough.
func (e *Entry) Payload(dst []byte) ([]byte, error) {
	r, _, _ := parseRecord(e.record)
	return r.Payload(dst)
}

// queue holds the entries that wait for the committer.
type queue struct {
	wake chan struct{} // has a token when there may be something to take

	mu      sync.Mutex
	waiting []*Entry
	closed  bool
}

func (q *queue) put(e *Entry) error {
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return ErrClosed
	}
	q.waiting = append(q.waiting, e)
	q.mu.Unlock()
	q.signal()
	return nil
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// take removes what is to be written together: all that waits, up to a number of
// spans and bytes, or a rotation alone. Open is false when nothing will follow.
func (q *queue) take(maxSpans, maxBytes int) (batch []*Entry, open bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	spans, bytes := 0, 0
	for i, e := range q.waiting {
		spans += e.spans
		bytes += len(e.record)
		if i > 0 && (spans > maxSpans || bytes > maxBytes || e.Rotated || q.waiting[0].Rotated) {
			batch = q.waiting[:i:i]
			q.waiting = q.waiting[i:]
			return batch, true
		}
	}
	batch, q.waiting = q.waiting, nil
	return batch, !q.closed || len(batch) > 0
}

// close lets nothing more in.
func (q *queue) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.signal()
}
