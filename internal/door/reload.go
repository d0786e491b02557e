package door

import (
	"log/slog"
	"os"
	"sync"
	"time"
)

// checkEvery is how often files are checked for changes, at most.
const checkEvery = time.Second

// reloaded holds a value that was read from files, and reads it again after the
// files have changed. It checks them when the value is asked for, so it needs no
// goroutine, and an idle listener costs nothing. New files that cannot be read
// leave the value as it was: a half-written certificate must not close the door.
type reloaded[T any] struct {
	files []string
	load  func() (T, error)
	now   func() time.Time
	log   *slog.Logger

	mu      sync.Mutex
	value   T
	seen    []stamp
	checked time.Time
}

// stamp tells versions of a file apart.
type stamp struct {
	size     int64
	modified time.Time
}

// newReloaded reads the files for the first time.
func newReloaded[T any](log *slog.Logger, load func() (T, error), files ...string) (*reloaded[T], error) {
	r := &reloaded[T]{files: files, load: load, now: time.Now, log: log}
	r.seen, r.checked = r.stamps(), r.now() // before reading: a change during it is found later
	var err error
	r.value, err = load()
	return r, err
}

// get returns the value as the files have it, or had it when they could be read.
func (r *reloaded[T]) get() T {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now := r.now(); now.Sub(r.checked) >= checkEvery {
		r.checked = now
		r.refresh()
	}
	return r.value
}

func (r *reloaded[T]) refresh() {
	seen := r.stamps()
	if equalStamps(seen, r.seen) {
		return
	}
	r.seen = seen // one warning for each change
	value, err := r.load()
	if err != nil {
		r.log.Warn("files have changed and cannot be used; the old ones stay in use", "files", r.files, "err", err)
		return
	}
	r.value = value
	r.log.Info("files have changed and were read again", "files", r.files)
}

// stamps has the zero stamp for a file that is not there.
func (r *reloaded[T]) stamps() []stamp {
	stamps := make([]stamp, len(r.files))
	for i, file := range r.files {
		if info, err := os.Stat(file); err == nil {
			stamps[i] = stamp{info.Size(), info.ModTime()}
		}
	}
	return stamps
}

func equalStamps(a, b []stamp) bool {
	for i := range a {
		if a[i].size != b[i].size || !a[i].modified.Equal(b[i].modified) {
			return false
		}
	}
	return true
}
