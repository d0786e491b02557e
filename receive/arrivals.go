package receive

import (
	"time"

	"golang.org/x/net/http2"
)

// arrivals counts, for one gRPC connection, the bytes of messages that have
// arrived and are not whole.
//
// grpc-go hands over whole messages only, and lets a client send as much of each
// as the message's length says: up to Limits.Decompressed for each stream. So
// the frames are followed here, as they are read, by their headers alone. A stream
// begins to count with its HEADERS frame and stops with the frame that ends it:
// from then on its message is whole, and the handler counts it (see intake.admit).
//
// A stream that the server has ended itself may never say its end. grpc-go throws
// away what still comes for it, so it is forgotten once the server must have ended
// it: after Limits.RequestTimeout.
type arrivals struct {
	frames  frameWalker
	streams []arrival // that have not ended; few, so a scan finds one
	last    uint32    // highest id of a stream
	forget  time.Duration
	swept   time.Time
}

type arrival struct {
	id    uint32
	bytes int64
	since time.Time
}

// maxArrivals is how many unfinished streams are followed. A server allows fewer
// at once, so an honest client never comes near.
const maxArrivals = 1024

func newArrivals(requestTimeout time.Duration) *arrivals {
	return &arrivals{frames: frameWalker{skip: len(preface)}, forget: requestTimeout + time.Second}
}

// read follows what has just been read from c.
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

// begin opens the account of a new stream.
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
			c.arrive(n) // A connection that is cut is closed by the registry.
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
