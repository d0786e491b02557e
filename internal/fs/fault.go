package fs

// Op is an operation on a [Mem] about to happen.
type Op struct {
	Kind string // the method in lower case: create, append, open, rename, remove, list, mkdir, syncdir, lock, read, write, sync, truncate, size
	Path string
	Size int // bytes to read or write, length to cut to
}

// Changes reports whether the operation changes the state after a crash.
func (o Op) Changes() bool {
	switch o.Kind {
	case "create", "rename", "remove", "syncdir", "write", "sync", "truncate":
		return true
	}
	return false
}

// Fault is what shall happen to an operation. The zero Fault lets it pass.
type Fault struct {
	Err   error // returned instead of doing the operation
	Keep  int   // for a write with Err: how many bytes are written nevertheless
	Crash bool  // as Err, and everything after fails too
}

// Inject sets the function that is asked before every operation; nil lets all
// pass. It must not call the Mem.
func (m *Mem) Inject(hook func(Op) Fault) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.hook = hook
}

// begin decides over an operation; the lock is held.
func (m *Mem) begin(op Op) Fault {
	if m.down {
		return Fault{Err: pathError(op.Kind, op.Path, ErrCrashed)}
	}
	if m.hook == nil {
		return Fault{}
	}
	f := m.hook(op)
	if f.Crash {
		m.down = true
		f.Err = ErrCrashed
	}
	if f.Err != nil {
		f.Err = pathError(op.Kind, op.Path, f.Err)
	}
	return f
}
