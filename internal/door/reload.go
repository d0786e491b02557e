package door

import (
	"log/slog"
	"os"
	"sync"
	"time"
)

// checkEvery is the minimum time between checks for changed files.
const checkEvery = time.Second

// reloaded has a value that was read from files, and reads it again after the files have changed. It checks
// them when get is called, so it needs no goroutine, and an idle listener costs nothing. If it cannot read the
// new files, it keeps the old value: a half-written certificate must not close the door.
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

// stamp identifies a version of a file.
type stamp struct {
	size     int64
	modified time.Time
}

// newReloaded reads the files for the first time.
func newReloaded[T any](log *slog.Logger, load func() (T, error), files ...string) (*reloaded[T], error) {
	r := &reloaded[T]{files: files, load: load, now: time.Now, log: log}
	r.seen, r.checked = r.stamps(), r.now() // before reading, so that a change during it is found later
	var err error
	r.value, err = load()
	return r, err
}

// get returns the value of the current files, or of the last ones that could be read.
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
		r.log.Warn("cannot use the changed files; the old contents stay in use", "files", r.files, "err", err)
		return
	}
	r.value = value
	r.log.Info("reloaded changed files", "files", r.files)
}

// stamps returns the zero stamp for a missing file.
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
