package backend

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"etude/program/access"
	"etude/program/control"

	lessons "etude/services"
)

// teach handles /api/etude/ on the page's port: the requests of the walk and the labs that the public APIs
// cannot answer. Without `up`, routes that need it answer so. api handles all other requests.
func (b *backendRun) teach(api http.Handler) (http.Handler, error) {
	mux := http.NewServeMux()
	mux.Handle("/api/etude/", api)
	mux.HandleFunc("GET /api/etude/source/{service}", answerSource)
	up := control.Parent()
	if up == nil {
		for _, path := range []string{"lines", "switches", "walk", "labs", "labs/"} {
			mux.HandleFunc("/api/etude/"+path, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, noParent, http.StatusNotFound) })
		}
		return mux, nil
	}
	proxy, err := up.Proxy(b.log)
	if err != nil {
		return nil, err
	}
	for _, route := range []string{"GET /api/etude/lines", "GET /api/etude/switches", "POST /api/etude/switches"} {
		mux.Handle(route, http.StripPrefix("/api/etude", proxy))
	}
	if err := b.mountLabs(mux); err != nil {
		return nil, err
	}
	mux.Handle("POST /api/etude/walk", newWalker(up.Edge, b.doors.ClientTLS(access.EntryListener)))
	return mux, nil
}

const noParent = "this backend runs alone: the walk needs the services and the edge. Start: etude up"

// walker sends single requests through the edge for the page. The page, which has another origin, could neither
// send them nor read the answers.
type walker struct {
	edge   string
	client *http.Client
	slots  chan struct{} // one for each request in flight
}

const (
	maxWalkers   = 16
	walkPatience = time.Minute
	maxWalkBody  = 2 << 10 // bytes of the service's answer that the page shows
)

func newWalker(edge string, trust *tls.Config) *walker {
	return &walker{edge: edge, slots: make(chan struct{}, maxWalkers), client: &http.Client{
		Transport:     &http.Transport{TLSClientConfig: trust, MaxIdleConns: 2, IdleConnTimeout: time.Minute},
		Timeout:       walkPatience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// walkRequest is a request of the page. The edge passes the id on in X-Request-Id, so that the page can find
// its own request in a service's output.
type walkRequest struct {
	Service string `json:"service"`
	ID      string `json:"id"`
}

var walkID = regexp.MustCompile(`^[a-z0-9-]{1,40}$`)

func (q *walkRequest) check() error {
	if !slices.Contains(lessons.Names, q.Service) {
		return fmt.Errorf("no service is called %q: want uservice1 to uservice4", q.Service)
	}
	if !walkID.MatchString(q.ID) {
		return fmt.Errorf("the id %q: want 1 to 40 of a-z, 0-9 and -", q.ID)
	}
	return nil
}

// walkAnswer describes the answer to the request. Times are in microseconds since 1970.
type walkAnswer struct {
	Status int    `json:"status"`
	Start  int64  `json:"start"`
	End    int64  `json:"end"`
	Body   string `json:"body"`
}

func (k *walker) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var q walkRequest
	if err := errors.Join(control.ReadJSON(w, r, &q), q.check()); err != nil {
		http.Error(w, firstLine(err), http.StatusBadRequest)
		return
	}
	select {
	case k.slots <- struct{}{}:
		defer func() { <-k.slots }()
	default:
		w.Header().Set("Retry-After", "2")
		http.Error(w, fmt.Sprintf("%d requests are already running; try again when one has ended", maxWalkers), http.StatusTooManyRequests)
		return
	}
	answer, err := k.send(r.Context(), q)
	if err != nil {
		http.Error(w, "the edge does not answer: "+err.Error(), http.StatusBadGateway)
		return
	}
	control.AnswerJSON(w, answer)
}

func (k *walker) send(ctx context.Context, q walkRequest) (*walkAnswer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, k.edge+"/", nil)
	if err != nil {
		return nil, err
	}
	req.Host = q.Service + ".localhost"
	req.Header = http.Header{"User-Agent": {"etude-walk"}, "X-Request-Id": {q.ID}}
	start := time.Now()
	resp, err := k.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxWalkBody))
	if err != nil {
		return nil, err
	}
	return &walkAnswer{resp.StatusCode, start.UnixMicro(), time.Now().UnixMicro(), strings.ToValidUTF8(string(body), "?")}, nil
}

// answerSource answers with a service's source and the lines that make each span.
func answerSource(w http.ResponseWriter, r *http.Request) {
	lesson, err := lessons.Read(r.PathValue("service"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	control.AnswerJSON(w, lesson)
}

func firstLine(err error) string {
	first, _, _ := strings.Cut(err.Error(), "\n")
	return first
}
