package receive

import (
	"context"
	"math"
	"net"
	"time"

	"golang.org/x/net/http2"
)

// look does what the time has come for, and sets the deadline for the next look.
func (c *callConn) look(now time.Time) error {
	c.mu.Lock()
	active, rested, gone := c.active, c.rested, c.broken
	c.mu.Unlock()
	if gone {
		return net.ErrClosed
	}
	limits := &c.in.limits
	idleBy := later(c.called, rested).Add(limits.IdleTimeout)
	if active > 0 {
		idleBy = now.Add(limits.IdleTimeout)
	}
	if c.closed() || !now.Before(idleBy) {
		c.leave(now)
	}
	if !c.leaveBy.IsZero() && !now.Before(c.leaveBy) {
		if c.left() { // and the client does not close
			return net.ErrClosed
		}
		c.goLast(now)
	}
	aliveBy, err := c.askAlive(now)
	if err != nil {
		return err
	}
	by := sooner(aliveBy, c.expire(now))
	if c.leaveBy.IsZero() {
		by = sooner(by, idleBy)
	} else if c.leaveBy.After(now) {
		by = sooner(by, c.leaveBy)
	}
	c.flush(false)
	c.readBy = by
	if err := c.conn.SetReadDeadline(by); err != nil {
		return err
	}
	if c.closed() && c.leaveBy.IsZero() { // drain may have set its deadline before us
		return c.look(now)
	}
	return nil
}

func (c *callConn) closed() bool {
	select {
	case <-c.closing:
		return true
	default:
		return false
	}
}

// leave announces the end of the connection. Calls that are on their way are still
// served: the ping's answer tells that the client has heard.
func (c *callConn) leave(now time.Time) {
	if !c.leaveBy.IsZero() {
		return
	}
	c.leaveBy = now.Add(leaveAfter)
	c.goAway(math.MaxInt32, http2.ErrCodeNo, "")
	c.control(func(out []byte) []byte { return appendPing(out, false, pingLeaving) })
}

// goLast says which call was the last. The connection ends when all are finished.
func (c *callConn) goLast(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.leaving {
		c.leaving = true
		c.out = appendGoAway(c.out, c.last, http2.ErrCodeNo, "")
	}
	c.leaveBy = now.Add(leaveAfter)
}

// left reports whether all calls of a connection that is leaving are finished.
func (c *callConn) left() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.leaving && c.active == 0 && len(c.out) == 0 && !c.writing
}

// askAlive pings a client that is silent, and gives up on one that stays so.
func (c *callConn) askAlive(now time.Time) (by time.Time, err error) {
	if c.heard.After(c.pinged) {
		c.pinged = time.Time{}
	}
	if c.pinged.IsZero() {
		if by := c.heard.Add(pingAfter); now.Before(by) {
			return by, nil
		}
		c.pinged = now
		c.control(func(out []byte) []byte { return appendPing(out, false, pingAlive) })
	}
	by = c.pinged.Add(pingTimeout)
	if !now.Before(by) {
		return by, net.ErrClosed
	}
	return by, nil
}

// expire ends calls that have had their time, and returns when the next one is due.
func (c *callConn) expire(now time.Time) time.Time {
	c.earliest = now.Add(c.in.limits.RequestTimeout)
	var late []*call
	c.mu.Lock()
	for _, k := range c.streams {
		switch {
		case k.done:
		case now.Before(k.ctx.by):
			c.earliest = sooner(c.earliest, k.ctx.by)
		case k.whole:
			k.ctx.end(context.DeadlineExceeded)
		default:
			late = append(late, k)
		}
	}
	c.mu.Unlock()
	for _, k := range late {
		k.refuse(errLate, false)
	}
	return c.earliest
}

func sooner(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
