package supervise

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Feed passes the lines that the parts of `up` print to readers. Without readers it keeps nothing, and a line
// costs one atomic load.
//
// All readers share one bounded list. A slow reader delays neither the parts nor other readers: the oldest
// lines leave the list, and the reader learns how many it has missed.
type Feed struct {
	reading atomic.Int32 // number of readers; above 0, Feed keeps lines

	mu    sync.Mutex
	lines []line
	first uint64        // number of lines[0]
	more  chan struct{} // closed when a line comes; nil while no reader waits
}

// line is one line of a part's output.
type line struct {
	Number uint64 `json:"n"`
	Micros int64  `json:"us"` // when `up` read it, in microseconds since 1970
	Part   string `json:"part"`
	Text   string `json:"text"`
}

const (
	maxFeedLines = 2000
	maxFeedLine  = 2 << 10 // bytes of one line; the end of a longer one is cut off
)

// add appends one line, with or without its line end.
func (f *Feed) add(part string, text []byte) {
	if f == nil || f.reading.Load() == 0 {
		return
	}
	if len(text) > maxFeedLine {
		text = append(text[:maxFeedLine:maxFeedLine], "..."...)
	}
	clean := strings.TrimRight(strings.ToValidUTF8(string(text), "?"), "\r\n")
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lines = append(f.lines, line{f.first + uint64(len(f.lines)), time.Now().UnixMicro(), part, clean})
	if over := len(f.lines) - maxFeedLines; over > 0 {
		f.drop(over)
	}
	if f.more != nil {
		close(f.more)
		f.more = nil
	}
}

func (f *Feed) drop(n int) {
	f.lines = f.lines[n:] // append moves the remaining lines to a new array from time to time
	f.first += uint64(n)
}

// feedReader reads the lines that arrive after its creation.
type feedReader struct {
	feed *Feed
	next uint64
}

// reader starts a reader. The caller closes it.
func (f *Feed) reader() *feedReader {
	f.reading.Add(1)
	f.mu.Lock()
	defer f.mu.Unlock()
	return &feedReader{f, f.first + uint64(len(f.lines))}
}

func (r *feedReader) close() {
	f := r.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.reading.Add(-1) == 0 {
		f.drop(len(f.lines))
		f.lines = nil
	}
}

// read waits for lines and returns all that have arrived, and the number of lines lost before them. It returns
// no line when ctx is done.
func (r *feedReader) read(ctx context.Context) (lines []line, lost uint64) {
	for ctx.Err() == nil {
		f := r.feed
		f.mu.Lock()
		if r.next < f.first {
			lost, r.next = f.first-r.next, f.first
		}
		if at := int(r.next - f.first); at < len(f.lines) {
			lines = append(lines, f.lines[at:]...)
			r.next += uint64(len(lines))
			f.mu.Unlock()
			return lines, lost
		}
		if f.more == nil {
			f.more = make(chan struct{})
		}
		more := f.more
		f.mu.Unlock()
		select {
		case <-more:
		case <-ctx.Done():
		}
	}
	return nil, lost
}

// ServeHTTP sends the lines of the parts as server-sent events, from now on: {"lines": [...], "lost": N}. The
// first event has no lines; a client that waits for it misses no later line.
func (f *Feed) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	reader := f.reader()
	defer reader.close()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	out := http.NewResponseController(w)
	batch := struct {
		Lines []line `json:"lines"`
		Lost  uint64 `json:"lost"`
	}{Lines: []line{}}
	for r.Context().Err() == nil {
		text, _ := json.Marshal(batch) // numbers and strings
		_ = out.SetWriteDeadline(time.Now().Add(streamPatience))
		if _, err := fmt.Fprintf(w, "data: %s\n\n", text); err != nil || out.Flush() != nil {
			return
		}
		wait, stop := context.WithTimeout(r.Context(), streamSign)
		batch.Lines, batch.Lost = reader.read(wait)
		stop()
		if batch.Lines == nil {
			batch.Lines = []line{}
		}
	}
}

const (
	streamSign     = 15 * time.Second // interval of events without lines, which show that the stream is alive
	streamPatience = 10 * time.Second // a reader that accepts nothing for this long is disconnected
)
