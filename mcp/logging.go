package mcp

import (
	"context"
	"log/slog"
)

// quiet passes only warnings and errors: the SDK logs every session that begins or ends, which the backend's
// operator does not need.
func quiet(l *slog.Logger) *slog.Logger {
	if l == nil {
		return nil
	}
	return slog.New(warnings{l.Handler()})
}

type warnings struct{ next slog.Handler }

func (w warnings) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && w.next.Enabled(ctx, level)
}

func (w warnings) Handle(ctx context.Context, r slog.Record) error { return w.next.Handle(ctx, r) }

func (w warnings) WithAttrs(attrs []slog.Attr) slog.Handler {
	return warnings{w.next.WithAttrs(attrs)}
}

func (w warnings) WithGroup(name string) slog.Handler { return warnings{w.next.WithGroup(name)} }
