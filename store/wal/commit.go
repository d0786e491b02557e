package wal

import (
	"errors"
	"fmt"
	"io"
	"time"

	"etude/internal/fs"
)

// commitBytes bounds the payloads of one write, before compression, and so the size of the kept buffers.
const commitBytes = 4 << 20

// recordBytes bounds the payloads that share a record. They compress better together than alone, but damage to
// a record loses all of them.
const recordBytes = 256 << 10

// WriteError reports that the log could not write a record. The log continues, and the client may send the same
// record again.
type WriteError struct {
	File string
	Err  error
}

func (e *WriteError) Error() string {
	if e.Full() {
		return fmt.Sprintf("write log %s: disk is full, spans are refused until there is room: %v", e.File, e.Err)
	}
	return fmt.Sprintf("write log %s: %v", e.File, e.Err)
}

func (e *WriteError) Unwrap() error { return e.Err }

// Full reports whether the disk was full.
func (e *WriteError) Full() bool { return fs.NoSpace(e.Err) }

// Unavailable distinguishes it from overload: the disk, not the client, must change.
func (e *WriteError) Unavailable() bool { return true }

// RetryAfter returns how long the client should wait before it sends the same again.
func (e *WriteError) RetryAfter() time.Duration {
	if e.Full() {
		return 10 * time.Second
	}
	return time.Second
}

// writer is the current segment; only the committer uses it. Bytes below size are committed records.
type writer struct {
	file    fs.File // nil for none
	name    string
	number  uint64
	created time.Time
	size    int64
	spans   int
	records int
	raw     int64
	noted   int       // spans that the manifest has recorded
	notedAt time.Time // when the manifest recorded them

	buf      []byte
	unsynced int64 // committed bytes that a power cut would lose; only with SyncInterval
	synced   time.Time
}

// complainEvery bounds how often the log reports a failing disk. Every refused caller also gets the error.
const complainEvery = time.Second

// Submit queues a copy of an OTLP payload. The committer calls Committed with it after success and after
// failure. Owner identifies the payload to the caller; arrival is in unix ns. A *[PayloadError] means that the
// payload is too large, [ErrClosed] that the log is closed.
func (l *Log) Submit(payload []byte, spans int, arrival int64, owner any) error {
	if len(payload) > MaxPayload {
		return &PayloadError{Size: len(payload)}
	}
	return l.queue.put(payload, Entry{Owner: owner, Spans: spans, Arrival: arrival})
}

// Rotate finishes the current segment. Then, after all payloads submitted before, the committer calls Committed
// with a batch that has Rotated set.
func (l *Log) Rotate() error { return l.queue.rotate() }

// Recycle reuses the memory of a batch of Committed.
func (l *Log) Recycle(b *Batch) { l.queue.recycle(b) }

// Drain refuses new payloads. It returns after Committed has received all others.
func (l *Log) Drain() {
	l.queue.close()
	<-l.done
}

// Close drains, syncs, writes the manifest, and releases the directory lock, in
// this order. A second Close does nothing.
func (l *Log) Close() error {
	l.Drain()
	if l.lock == nil {
		return nil
	}
	err := l.finish()
	if gone := l.checkFolders(); gone == nil {
		err = errors.Join(err, l.manifest.settle())
	} else {
		err = errors.Join(err, gone)
	}
	err = errors.Join(err, l.unpin())
	lock := l.lock
	l.lock = nil
	if e := lock.Close(); e != nil {
		err = errors.Join(err, fmt.Errorf("unlock data directory: %w", e))
	}
	return err
}

// run is the committer.
func (l *Log) run() {
	defer close(l.done)
	timer, watch := time.NewTimer(l.o.SyncInterval), time.NewTicker(watchEvery)
	defer timer.Stop()
	defer watch.Stop()
	for {
		l.queue.gather()
		batch, open := l.queue.take()
		if !open {
			return
		}
		if batch != nil {
			l.commit(batch)
			continue
		}
		var due <-chan time.Time
		if l.seg.unsynced > 0 {
			timer.Reset(time.Until(l.seg.synced.Add(l.o.SyncInterval)))
			due = timer.C
		}
		select {
		case <-l.queue.wake:
		case <-due:
			l.syncUnsynced()
		case <-watch.C:
			l.watch()
		}
	}
}

// commit writes a batch, makes it durable, and only then calls Committed.
func (l *Log) commit(b *Batch) {
	if b.Rotated {
		b.Err = l.finish()
	} else {
		b.Err = l.write(b)
		l.setTrouble(b.Err)
		b.Segment = l.seg.number
	}
	l.o.Committed(b)
}

func (l *Log) write(b *Batch) error {
	w := &l.seg
	if w.file != nil && l.full(b) {
		if err := l.finish(); err != nil {
			l.o.Logger.Error("finish log segment", "error", err)
		}
	}
	if w.file == nil {
		if err := l.begin(); err != nil {
			return &WriteError{File: w.name, Err: err}
		}
	}
	var records int
	w.buf, records = appendRecords(w.buf[:0], b)
	err := writeAll(w.file, w.buf)
	if err == nil {
		w.unsynced += int64(len(w.buf))
		if l.o.Sync == SyncGroup || time.Since(w.synced) >= l.o.SyncInterval {
			err = l.sync()
		}
	}
	if err == nil {
		err = l.checkSegment() // The bytes may be in a file that no longer has a name.
	}
	if err != nil {
		l.giveUp(err)
		return &WriteError{File: w.name, Err: err}
	}
	l.account(b, records)
	return nil
}

// appendRecords appends the records of a batch. Payloads that share a record become
// one request: by protobuf's rules, concatenated OTLP requests are one request with
// the spans of all.
func appendRecords(dst []byte, b *Batch) (_ []byte, records int) {
	begin, spans := 0, 0
	for i := range b.Entries {
		e := &b.Entries[i]
		spans += e.Spans
		if i+1 < len(b.Entries) && b.Entries[i+1].end-begin <= recordBytes {
			continue
		}
		dst = appendRecord(dst, b.payloads[begin:e.end], spans, e.Arrival)
		begin, spans = e.end, 0
		records++
	}
	return dst, records
}

func (l *Log) account(b *Batch, records int) {
	w := &l.seg
	w.size += int64(len(w.buf))
	w.spans += b.spans
	w.records += records
	w.raw += int64(len(b.payloads))
	l.setSize(w.number, w.size)
	if cap(w.buf) > 2*commitBytes {
		w.buf = nil
	}
	if time.Since(w.notedAt) >= noteEvery {
		l.note()
	}
}

// noteEvery is how often the committer records the size of a growing segment in the manifest.
const noteEvery = time.Second

// note records the durable size of the segment in the manifest.
func (l *Log) note() {
	w := &l.seg
	if w.spans == w.noted || w.unsynced > 0 {
		return
	}
	w.noted, w.notedAt = w.spans, time.Now()
	err := l.manifest.note(entry{number: w.number, created: w.created.UnixNano(), spans: int64(w.spans), records: uint32(w.records)})
	if err != nil {
		l.complain("note how far a log segment has grown", err)
	}
}

// full reports whether a batch must go to another segment. A payload with more spans than a segment should have
// gets its own segment.
func (l *Log) full(b *Batch) bool {
	w := &l.seg
	return w.spans+b.spans > l.o.SegmentSpans && w.spans > 0 || w.raw >= l.o.SegmentBytes || time.Since(w.created) >= l.o.SegmentAge
}

// begin creates a new segment, syncs it and its name, and lists it in the manifest. After an error it leaves
// none. It never uses a number twice.
func (l *Log) begin() error {
	now := time.Now()
	l.mu.Lock()
	number := l.next
	l.next++
	l.mu.Unlock()
	w := &l.seg
	if err := l.checkFolders(); err != nil {
		w.name = folder(l.o.Dir)
		return err
	}
	*w = writer{buf: w.buf, name: path(l.o.Dir, number, segmentSuffix), number: number, created: now, synced: now, notedAt: now, size: headerSize}
	f, err := l.o.FS.Create(w.name)
	if err != nil {
		return err
	}
	err = writeAll(f, appendHeader(nil, header{created: now.UnixNano(), store: l.manifest.store, number: number}))
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = l.o.FS.SyncDir(folder(l.o.Dir))
	}
	if err == nil {
		err = l.checkFolders()
	}
	if err == nil {
		err = l.manifest.list(entry{number: number, created: now.UnixNano()})
	}
	if err != nil {
		_ = f.Close()
		_ = l.o.FS.Remove(w.name) // Replay removes a file that stays.
		return err
	}
	w.file = f
	l.setActive(number)
	l.setSize(number, headerSize)
	return nil
}

// sync makes the committed bytes durable.
func (l *Log) sync() error {
	w := &l.seg
	began := time.Now()
	err := w.file.Sync()
	l.o.Synced(time.Since(began))
	if err != nil {
		return err
	}
	w.unsynced, w.synced = 0, time.Now()
	l.mu.Lock()
	l.syncs++
	l.mu.Unlock()
	return nil
}

// syncUnsynced is the periodic sync of SyncInterval.
func (l *Log) syncUnsynced() {
	if err := l.sync(); err != nil {
		l.giveUp(err)
	}
}

// giveUp closes a segment whose write or sync has failed. It tries to cut off the uncommitted bytes; if that
// fails, replay handles them. The number stays in use for the refused entries.
func (l *Log) giveUp(cause error) {
	w := &l.seg
	l.complain("give up log segment and begin another", cause)
	if w.spans > 0 && l.o.Sync == SyncInterval {
		l.o.Logger.Error("spans acknowledged since the last sync may not survive a power cut", "file", w.name)
	}
	if err := errors.Join(w.file.Truncate(w.size), w.file.Sync(), w.file.Close()); err != nil {
		l.o.Logger.Warn("cut given up log segment", "file", w.name, "error", err)
	}
	w.file, w.unsynced = nil, 0
	l.setActive(0)
	if w.size == headerSize {
		if err := l.Remove(w.number); err != nil {
			l.o.Logger.Warn("remove empty log segment", "error", err)
		}
	}
}

func (l *Log) complain(what string, err error) {
	if now := time.Now(); now.Sub(l.complained) >= complainEvery {
		l.complained = now
		l.o.Logger.Error(what, "file", l.seg.name, "error", err)
	}
}

// finish syncs and closes the current segment, if there is one.
func (l *Log) finish() error {
	w := &l.seg
	if w.file == nil {
		return nil
	}
	var err error
	if w.unsynced > 0 {
		if err = l.sync(); err != nil {
			l.giveUp(err)
			return &WriteError{File: w.name, Err: err}
		}
	}
	l.note()
	err = w.file.Close()
	w.file = nil
	l.setActive(0)
	if err != nil {
		return fmt.Errorf("close log segment: %w", err)
	}
	return nil
}

func (l *Log) setActive(number uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.active = number
}

func writeAll(w io.Writer, b []byte) error {
	n, err := w.Write(b)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	return err
}
