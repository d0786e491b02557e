package receive

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"time"

	"google.golang.org/grpc/codes"
)

// reason is why a request was refused, for counters and answers.
type reason uint8

const (
	malformed    reason = iota // cannot be decoded
	invalid                    // decoded, but the Sink calls the spans wrong
	tooLarge                   // a size limit; the same request never passes
	unsupported                // method, content type or encoding
	overloaded                 // try again later: too much at once
	unavailable                // try again later: cannot store now
	timedOut                   // the client did not finish in time
	canceled                   // the client went away
	noTenant                   // names no tenant, and there are tenants
	badTenant                  // names a tenant wrongly, or several
	unauthorized               // shows no token, or a wrong one
	internal                   // anything else
)

var reasons = [...]string{
	malformed: "malformed", invalid: "invalid_spans", tooLarge: "too_large",
	unsupported: "unsupported", overloaded: "overloaded", unavailable: "unavailable",
	timedOut: "timed_out", canceled: "canceled", noTenant: "no_tenant", badTenant: "bad_tenant", unauthorized: "unauthorized",
	internal: "internal",
}

// The statuses of each reason: OTLP specification, "Failures"; the HTTP ones
// are what Tempo answers.
var grpcCodes = [...]codes.Code{
	malformed: codes.InvalidArgument, invalid: codes.InvalidArgument, tooLarge: codes.InvalidArgument,
	unsupported: codes.InvalidArgument, overloaded: codes.ResourceExhausted, unavailable: codes.Unavailable,
	timedOut: codes.DeadlineExceeded, canceled: codes.Canceled, noTenant: codes.Unavailable,
	badTenant: codes.InvalidArgument, unauthorized: codes.Unauthenticated, internal: codes.Internal,
}

var httpStatuses = [...]int{
	malformed: http.StatusBadRequest, invalid: http.StatusBadRequest, tooLarge: http.StatusBadRequest,
	unsupported: http.StatusBadRequest, overloaded: http.StatusTooManyRequests, unavailable: http.StatusServiceUnavailable,
	timedOut: http.StatusRequestTimeout, canceled: http.StatusServiceUnavailable, noTenant: http.StatusServiceUnavailable,
	badTenant: http.StatusBadRequest, unauthorized: http.StatusUnauthorized, internal: http.StatusInternalServerError,
}

// refusal is the error of a refused request.
type refusal struct {
	reason reason
	text   string
	retry  time.Duration // when to come back; 0 = do not
}

func (r *refusal) Error() string    { return r.text }
func (r *refusal) code() codes.Code { return grpcCodes[r.reason] }
func (r *refusal) status() int      { return httpStatuses[r.reason] }

func refuse(r reason, format string, args ...any) *refusal {
	return &refusal{reason: r, text: fmt.Sprintf(format, args...)}
}

// retrySeconds is the delay in whole seconds, rounded up, for Retry-After.
func (r *refusal) retrySeconds() string {
	return strconv.FormatInt(int64((r.retry+time.Second-1)/time.Second), 10)
}

// sinkRefusal sorts an error of the Sink by the methods that the error has. A client
// never sees the text of our own faults; the log has it.
func sinkRefusal(ctx context.Context, err error) *refusal {
	var bad interface{ InvalidSpans() bool }
	var later interface{ RetryAfter() time.Duration }
	var away interface{ Unavailable() bool }
	switch {
	case errors.As(err, &bad) && bad.InvalidSpans():
		return refuse(invalid, "%v", err)
	case errors.As(err, &later):
		r := refuse(overloaded, "%v", err)
		if errors.As(err, &away) && away.Unavailable() {
			r.reason = unavailable
		}
		r.retry = max(later.RetryAfter(), time.Millisecond)
		return r
	case ctx.Err() != nil:
		return contextRefusal(ctx.Err())
	}
	return refuse(internal, "store spans: internal error, see the server's log")
}

func contextRefusal(err error) *refusal {
	if errors.Is(err, context.DeadlineExceeded) {
		return refuse(timedOut, "request was not finished in time")
	}
	return refuse(canceled, "client went away")
}

// readRefusal sorts an error met while reading what the client sends.
func readRefusal(err error) *refusal {
	var r *refusal
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &r):
		return r
	case errors.As(err, &large):
		return refuse(tooLarge, "request body is larger than the limit of %d bytes; send smaller batches", large.Limit)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return refuse(timedOut, "request body did not arrive in time")
	case errors.Is(err, context.Canceled):
		return refuse(canceled, "client went away")
	}
	return refuse(malformed, "read request body: %v", err)
}
