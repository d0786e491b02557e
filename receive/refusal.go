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

// reason is the reason of a refusal, for counters and answers.
type reason uint8

const (
	malformed    reason = iota // cannot be decoded
	invalid                    // decoded, but the Sink reports invalid spans
	tooLarge                   // a size limit; a retry never succeeds
	unsupported                // method, content type or encoding
	overloaded                 // retry later: too much load
	unavailable                // retry later: cannot store now
	timedOut                   // the client did not finish in time
	canceled                   // the client went away
	noTenant                   // names no tenant, with multitenancy
	badTenant                  // invalid or several tenants
	unauthorized               // no token, or a wrong one
	internal                   // anything else
)

var reasons = [...]string{
	malformed: "malformed", invalid: "invalid_spans", tooLarge: "too_large",
	unsupported: "unsupported", overloaded: "overloaded", unavailable: "unavailable",
	timedOut: "timed_out", canceled: "canceled", noTenant: "no_tenant", badTenant: "bad_tenant", unauthorized: "unauthorized",
	internal: "internal",
}

// The statuses of each reason. gRPC: OTLP specification, "Failures". HTTP: the same as Tempo's.
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
	retry  time.Duration // when to retry; 0: do not retry
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

// sinkRefusal classifies an error of the Sink by the error's methods. A client never gets the text of an
// internal error, which is only logged.
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

// readRefusal classifies an error from reading a request.
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
