package backend

import (
	"strings"
	"testing"

	"etude/store"
)

func TestSpanLimitFlags(t *testing.T) {
	t.Parallel()
	l := spanLimits{MaxSpanAttributes: 1, MaxSpanEvents: 2, MaxSpanLinks: 3, MaxAttribute: 4 << 10, MaxColumns: 5}
	if err := l.check(); err != nil || *l.limits() != (store.Limits{Attributes: 1, Events: 2, Links: 3, AttributeBytes: 4 << 10, Columns: 5}) {
		t.Errorf("limits %+v, %v", l.limits(), err)
	}
	if err := (&spanLimits{}).check(); err != nil || *(&spanLimits{}).limits() != (store.Limits{}) {
		t.Errorf("no limits: %v", err)
	}
	for _, bad := range []struct {
		l    spanLimits
		want string
	}{
		{spanLimits{MaxSpanAttributes: -1}, "--max-span-attributes -1: want 0 or more"},
		{spanLimits{MaxColumns: -3}, "--max-columns -3: want 0 or more"},
		{spanLimits{MaxAttribute: 100}, "--max-attribute-bytes 100"},
	} {
		if err := bad.l.check(); err == nil || !strings.HasPrefix(err.Error(), bad.want) {
			t.Errorf("%+v: %v, want %s", bad.l, err, bad.want)
		}
	}
}
