package page

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"io/fs"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

// asset is one file of dist/. Its bytes stay in the binary, so the system can drop them from memory and read
// them again. It is compressed at most once, at the first request, so that it costs nothing at startup.
type asset struct {
	name string
	size int
	open func() fs.File
	etag string
	gzip func() []byte
}

// loadAssets returns every file below root by its path. The file system is part of the binary, so an error is a
// mistake of the build.
func loadAssets(root fs.FS) map[string]*asset {
	assets := map[string]*asset{}
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		assets[name] = newAsset(root, name, int(info.Size()))
		return nil
	})
	if err != nil {
		panic(err)
	}
	return assets
}

func newAsset(root fs.FS, name string, size int) *asset {
	a := &asset{name: name, size: size}
	a.open = func() fs.File {
		f, err := root.Open(name)
		if err != nil {
			panic(err) // WalkDir found it in the binary
		}
		return f
	}
	sum := sha256.New()
	a.copyTo(sum)
	a.etag = hex.EncodeToString(sum.Sum(nil)[:8])
	a.gzip = sync.OnceValue(func() []byte { return compress(a.copyTo) })
	return a
}

// copyTo writes the file to w until w returns an error.
func (a *asset) copyTo(w io.Writer) {
	f := a.open()
	defer f.Close()
	_, _ = io.Copy(w, f)
}

// compress returns the compressed output of write.
func compress(write func(io.Writer)) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	write(w) // a bytes.Buffer does not fail
	_ = w.Close()
	return b.Bytes()
}

// ServeHTTP answers GET and HEAD.
func (a *asset) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.serve(w, r, http.StatusOK)
}

// serve answers with the file and a status. The two encodings have different ETags, as RFC 9110 section 8.8.3.3
// requires.
func (a *asset) serve(w http.ResponseWriter, r *http.Request, status int) {
	etag, size, body := `"`+a.etag+`"`, a.size, a.copyTo
	h := w.Header()
	h.Set("Vary", "Accept-Encoding")
	h.Set("Content-Type", contentType(a.name))
	h.Set("Cache-Control", cacheControl(a.name))
	if acceptsGzip(r) {
		packed := a.gzip()
		etag, size = `"`+a.etag+`-gzip"`, len(packed)
		body = func(w io.Writer) { _, _ = w.Write(packed) }
		h.Set("Content-Encoding", "gzip")
	}
	h.Set("ETag", etag)
	if status == http.StatusOK && matches(r.Header.Get("If-None-Match"), etag) {
		h.Del("Content-Encoding")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Length", strconv.Itoa(size))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		body(w) // an error means that the client has left
	}
}

// acceptsGzip reports whether Accept-Encoding names gzip with a quality above zero.
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
