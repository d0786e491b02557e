package receive

import (
	"time"

	"golang.org/x/net/http2"
)

// arrivals counts the bytes of incomplete messages of one gRPC connection.
//
// grpc-go passes on only complete messages. It lets a client send as much of each as the message's length
// announces: up to Limits.Decompressed for each stream. So arrivals follows the frames while they are read,
// using only their headers. A stream counts from its HEADERS frame to the frame that ends it. Then its message
// is complete, and the handler counts it (see intake.admit).
//
// When the server ends a stream, the client may never send its end. grpc-go discards later data of such a
// stream. So arrivals drops a stream after Limits.RequestTimeout, when the server must have ended it.
type arrivals struct {
	frames  frameWalker
	streams []arrival // unfinished ones; they are few, so a scan finds one
	last    uint32    // highest id of a stream
	forget  time.Duration
	swept   time.Time
}

type arrival struct {
	id    uint32
	bytes int64
	since time.Time
}

// maxArrivals is the maximum number of unfinished streams to follow. A server allows fewer at once, so correct
// clients stay far below it.
const maxArrivals = 1024

func newArrivals(requestTimeout time.Duration) *arrivals {
	return &arrivals{frames: frameWalker{skip: len(preface)}, forget: requestTimeout + time.Second}
}

// read follows the bytes just read from c.
func (a *arrivals) read(c *conn, p []byte) {
	for len(p) > 0 {
		n, header := a.frames.next(p)
		p = p[n:]
		h := &a.frames.header
		if header {
			a.begin(c, h)
		} else if h.Type == http2.FrameData {
			a.add(c, h.StreamID, int64(n))
		}
		if a.frames.ended() && (h.Type == http2.FrameRSTStream || h.Type == http2.FrameData && h.Flags.Has(http2.FlagDataEndStream)) {
			a.end(c, h.StreamID)
		}
	}
}

// begin starts counting a new stream.
func (a *arrivals) begin(c *conn, h *http2.FrameHeader) {
	if h.Type != http2.FrameHeaders || h.StreamID <= a.last {
		return
	}
	a.last = h.StreamID
	if h.Flags.Has(http2.FlagHeadersEndStream) {
		return
	}
	now := time.Now()
	if now.Sub(a.swept) > a.forget/4 {
		a.swept = now
		a.forgetEnded(c, now)
	}
	if len(a.streams) == maxArrivals {
		_ = c.Close()
		return
	}
	a.streams = append(a.streams, arrival{id: h.StreamID, since: now})
}

func (a *arrivals) forgetEnded(c *conn, now time.Time) {
	for i := len(a.streams) - 1; i >= 0; i-- {
		if now.Sub(a.streams[i].since) > a.forget {
			a.remove(c, i)
		}
	}
}

func (a *arrivals) add(c *conn, id uint32, n int64) {
	for i := range a.streams {
		if s := &a.streams[i]; s.id == id {
			s.bytes += n
			c.arrive(n) // The registry closes a connection that is cut.
			return
		}
	}
}

func (a *arrivals) end(c *conn, id uint32) {
	for i := range a.streams {
		if a.streams[i].id == id {
			a.remove(c, i)
			return
		}
	}
}

func (a *arrivals) remove(c *conn, i int) {
	c.depart(a.streams[i].bytes)
	last := len(a.streams) - 1
	a.streams[i] = a.streams[last]
	a.streams = a.streams[:last]
}
