package api

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"etude/query"
)

func FuzzStreamRequest(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("\x0a\x06\x0a\x01k\x12\x01v\x20\x05\x42\x03{ }"))
	f.Add([]byte("\x0a\xff\x01"))
	f.Add([]byte("\x0a\x02\xff\xfe"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := readStreamRequest(b)
		if err == nil {
			_, err = r.tags(1)
		}
		if err == nil {
			_, err = r.values(streamParam{1, "a", true}, streamParam{2, "b", false})
		}
		var input *query.InputError
		if err != nil && !errors.As(err, &input) {
			t.Errorf("%x: %v is not the caller's mistake", b, err)
		}
	})
}

func TestPieces(t *testing.T) {
	t.Parallel()
	var w writer
	for range 7 {
		w.Raw(1, "0123456789") // 12 bytes
	}
	w.message(2, func(w *writer) { w.Varint(5, 1) }) // 4 bytes
	w.Varint(3, 1)                                   // 2 bytes
	result, metrics, status := w.B[:12], w.B[84:88], w.B[88:]
	for most, counts := range map[int][]int{100: {7}, 90: {7}, 89: {6, 1}, 42: {3, 3, 1}, 5: {1, 1, 1, 1, 1, 1, 1}} {
		var want [][]byte
		for _, n := range counts {
			want = append(want, append(bytes.Repeat(result, n), metrics...))
		}
		want[len(want)-1] = append(want[len(want)-1], status...)
		if got := slices.Collect(pieces(w.B, most)); !slices.EqualFunc(got, want, bytes.Equal) {
			t.Errorf("at most %d bytes: %x, want %x", most, got, want)
		}
	}
}
