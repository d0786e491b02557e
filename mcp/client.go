package mcp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// maxAPIBytes limits how much of the API's answer is read before it is shortened.
const maxAPIBytes = 8 << 20

var errTooLarge = fmt.Errorf("the answer is larger than %d MiB: add conditions or shorten the time range", maxAPIBytes>>20)

// tenantHeader names the tenant; the tools pass it on to the API.
const tenantHeader = "X-Scope-OrgID"

// acceptLLM requests the simple format of traces and values.
const acceptLLM = "application/vnd.grafana.llm"

// client calls the API in this process.
type client struct{ api http.Handler }

// get returns the body of a successful answer. path must be escaped. Any other answer becomes an error with the
// API's text.
func (c client) get(ctx context.Context, tenant, path string, params url.Values, accept string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://etude"+path+"?"+params.Encode(), nil)
	if err != nil {
		return nil, fmt.Errorf("request %s: %w", path, err)
	}
	r.RequestURI = r.URL.RequestURI()
	r.Header.Set("Accept", accept)
	if tenant != "" {
		r.Header.Set(tenantHeader, tenant)
	}
	w := &recorder{header: http.Header{}}
	cut := serve(c.api, w, r)
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case w.overflow:
		return nil, errTooLarge
	case cut:
		return nil, errors.New("the answer was cut off because it takes too much time or memory: add conditions or shorten the time range")
	case w.status == 0 || w.status == http.StatusOK:
		return w.body.Bytes(), nil
	}
	return nil, &apiError{w.status, strings.TrimSpace(w.body.String())}
}

// serve calls the API. cut reports that the API has aborted a begun answer; over a network, this closes the
// connection.
func serve(api http.Handler, w http.ResponseWriter, r *http.Request) (cut bool) {
	defer func() {
		if p := recover(); p == http.ErrAbortHandler {
			cut = true
		} else if p != nil {
			panic(p)
		}
	}()
	api.ServeHTTP(w, r)
	return false
}

// apiError is an answer of the API with a status other than 200.
type apiError struct {
	status int
	text   string
}

func (e *apiError) Error() string {
	if e.text == "" || e.status < http.StatusBadRequest {
		return fmt.Sprintf("the API answered %d %s", e.status, http.StatusText(e.status))
	}
	return e.text
}

// recorder keeps an answer of up to maxAPIBytes.
type recorder struct {
	header   http.Header
	status   int
	body     bytes.Buffer
	overflow bool
}

func (w *recorder) Header() http.Header { return w.header }

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
}

func (w *recorder) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	if w.body.Len()+len(p) > maxAPIBytes {
		w.overflow = true
		return 0, errors.New("the answer is too large")
	}
	return w.body.Write(p)
}
