package fs

// Op is an operation that a [Mem] is about to perform.
type Op struct {
	Kind string // the method in lower case: create, append, open, rename, remove, list, mkdir, syncdir, lock, read, write, sync, truncate, size
	Path string
	Size int // bytes to read or write, or the length to truncate to
}

// Changes reports whether the operation changes the state after a crash.
func (o Op) Changes() bool {
	switch o.Kind {
	case "create", "rename", "remove", "syncdir", "write", "sync", "truncate":
		return true
	}
	return false
}

// Fault decides the result of an operation. The zero Fault lets it succeed.
type Fault struct {
	Err   error // returned instead of doing the operation
	Keep  int   // for a write with Err: number of bytes written before the error
	Crash bool  // like Err, and all later operations fail too
}

// Inject sets a function that Mem calls before every operation; nil removes it. The function must not call the
// Mem.
func (m *Mem) Inject(hook func(Op) Fault) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.hook = hook
}

// begin asks the hook about an operation. The caller holds the lock.
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
