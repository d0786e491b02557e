package page

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

// asset is one file of dist/. It is compressed at most once, when first asked
// for, so that starting costs nothing.
type asset struct {
	name string
	data []byte
	etag string
	gzip func() []byte
}

// loadAssets reads every file below root, keyed by its path. The file system is
// part of the binary, so an error is a mistake of the build.
func loadAssets(root fs.FS) map[string]*asset {
	assets := map[string]*asset{}
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		assets[name] = newAsset(name, data)
		return nil
	})
	if err != nil {
		panic(err)
	}
	return assets
}

func newAsset(name string, data []byte) *asset {
	sum := sha256.Sum256(data)
	return &asset{
		name: name,
		data: data,
		etag: hex.EncodeToString(sum[:8]),
		gzip: sync.OnceValue(func() []byte { return compress(data) }),
	}
}

func compress(data []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write(data) // a bytes.Buffer does not fail
	_ = w.Close()
	return b.Bytes()
}

// ServeHTTP answers GET and HEAD. The two encodings have different ETags, as
// RFC 9110 section 8.8.3.3 asks.
func (a *asset) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, etag := a.data, `"`+a.etag+`"`
	h := w.Header()
	h.Set("Vary", "Accept-Encoding")
	h.Set("Content-Type", contentType(a.name))
	h.Set("Cache-Control", cacheControl(a.name))
	if acceptsGzip(r) {
		body, etag = a.gzip(), `"`+a.etag+`-gzip"`
		h.Set("Content-Encoding", "gzip")
	}
	h.Set("ETag", etag)
	if matches(r.Header.Get("If-None-Match"), etag) {
		h.Del("Content-Encoding")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // the reader went away: there is no one to report to
	}
}

// acceptsGzip reads Accept-Encoding as far as it matters here: gzip named, and
// not with a quality of zero.
func acceptsGzip(r *http.Request) bool {
	for part := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		coding, params, _ := strings.Cut(part, ";")
		if strings.TrimSpace(coding) != "gzip" {
			continue
		}
		q, err := strconv.ParseFloat(strings.TrimPrefix(strings.TrimSpace(params), "q="), 64)
		return err != nil || q > 0
	}
	return false
}

func matches(header, etag string) bool {
	for part := range strings.SplitSeq(header, ",") {
		part = strings.TrimSpace(part)
		if part == "*" || strings.TrimPrefix(part, "W/") == etag {
			return true
		}
	}
	return false
}
