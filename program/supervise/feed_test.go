package supervise

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestFeedKeepsNothingUnread(t *testing.T) {
	t.Parallel()
	f := &Feed{}
	f.add("edge", []byte("nobody reads this\n"))
	r := f.reader()
	f.add("edge", []byte("and this is read\r\n"))
	lines, lost := r.read(t.Context())
	if len(lines) != 1 || lines[0].Text != "and this is read" || lines[0].Part != "edge" || lost != 0 {
		t.Errorf("read %+v, lost %d", lines, lost)
	}
	f.add("edge", []byte("read by nobody any more"))
	r.close()
	if f.lines != nil {
		t.Errorf("%d lines are kept without a reader", len(f.lines))
	}
	again := f.reader()
	defer again.close()
	done, cancel := context.WithCancel(t.Context())
	cancel()
	if lines, lost := again.read(done); len(lines) != 0 || lost != 0 {
		t.Errorf("a new reader gets %+v, lost %d", lines, lost)
	}
}

// TestFeedTellsASlowReader lets one reader fall behind while another keeps up.
func TestFeedTellsASlowReader(t *testing.T) {
	t.Parallel()
	f := &Feed{}
	slow, fast := f.reader(), f.reader()
	defer slow.close()
	defer fast.close()
	const over = 700
	for i := range maxFeedLines + over {
		f.add("uservice1", fmt.Appendf(nil, "line %d", i))
		if lines, lost := fast.read(t.Context()); len(lines) != 1 || lost != 0 {
			t.Fatalf("the fast reader gets %d lines, lost %d", len(lines), lost)
		}
	}
	lines, lost := slow.read(t.Context())
	if len(lines) != maxFeedLines || lost != over || lines[0].Text != fmt.Sprintf("line %d", over) {
		t.Errorf("the slow reader gets %d lines from %q on, lost %d; want %d from line %d on", len(lines), lines[0].Text, lost, maxFeedLines, over)
	}
	if last := lines[len(lines)-1].Number; last != maxFeedLines+over-1 {
		t.Errorf("the last line has number %d", last)
	}
}

func TestFeedCutsLongLines(t *testing.T) {
	t.Parallel()
	f := &Feed{}
	r := f.reader()
	defer r.close()
	long := []byte(strings.Repeat("x", maxFeedLine) + "tail\xff")
	f.add("edge", long)
	f.add("edge", []byte("not \xff text"))
	lines, _ := r.read(t.Context())
	if want := strings.Repeat("x", maxFeedLine) + "..."; lines[0].Text != want {
		t.Errorf("a long line has %d bytes", len(lines[0].Text))
	}
	if lines[1].Text != "not ? text" {
		t.Errorf("a line that is no UTF-8 is %q", lines[1].Text)
	}
	if !strings.HasSuffix(string(long), "tail\xff") {
		t.Error("cutting a line has changed the bytes of its owner")
	}
}

func TestFeedWakesItsReaders(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &Feed{}
		got := make(chan string, 2)
		for range 2 {
			r := f.reader()
			go func() {
				defer r.close()
				lines, _ := r.read(t.Context())
				got <- lines[0].Text
			}()
		}
		time.Sleep(time.Minute) // of the bubble's clock
		synctest.Wait()
		f.add("edge", []byte("good morning"))
		for range 2 {
			if text := <-got; text != "good morning" {
				t.Errorf("a reader got %q", text)
			}
		}
	})
}

func BenchmarkFeedUnread(b *testing.B) {
	f, text := &Feed{}, []byte("    \"user-agent\": \"Go-http-client/1.1\",\n")
	b.ReportAllocs()
	for b.Loop() {
		f.add("uservice1", text)
	}
}

func BenchmarkFeedRead(b *testing.B) {
	f, text := &Feed{}, []byte("    \"user-agent\": \"Go-http-client/1.1\",\n")
	r := f.reader()
	defer r.close()
	b.ReportAllocs()
	for b.Loop() {
		f.add("uservice1", text)
		r.read(b.Context())
	}
}
