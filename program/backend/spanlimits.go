package backend

import (
	"fmt"

	"etude/program/flags"
	"etude/store"
)

// minAttribute is the smallest allowed --max-attribute-bytes.
const minAttribute = 1 << 10

// spanLimits limit the contents of one span. The backend drops the excess and keeps the span.
type spanLimits struct {
	MaxSpanAttributes int         `name:"max-span-attributes" env:"ETUDE_MAX_SPAN_ATTRIBUTES" default:"1024" help:"Maximum number of attributes of one span, resource, scope, event or link; excess ones are dropped and counted in the span, as SDKs do. 0 means no limit."`
	MaxSpanEvents     int         `name:"max-span-events" env:"ETUDE_MAX_SPAN_EVENTS" default:"4096" help:"Maximum number of events of one span; excess ones are dropped and counted. 0 means no limit."`
	MaxSpanLinks      int         `name:"max-span-links" env:"ETUDE_MAX_SPAN_LINKS" default:"4096" help:"Maximum number of links of one span; excess ones are dropped and counted. 0 means no limit."`
	MaxAttribute      flags.Bytes `name:"max-attribute-bytes" env:"ETUDE_MAX_ATTRIBUTE_BYTES" default:"64KiB" help:"Maximum size of an attribute; a longer one is cut and marked: [cut, was N bytes]. At least 1KiB; 0 means no limit."`
	MaxColumns        int         `name:"max-columns" env:"ETUDE_MAX_COLUMNS" default:"2048" help:"Maximum number of attribute keys with columns of their own in a table of some ten thousand spans. Further keys, such as ids used as keys, share memory, and queries that name them are slower. 0 means no limit."`
}

func (l *spanLimits) check() error {
	for _, f := range []struct {
		flag  string
		value int
	}{{"max-span-attributes", l.MaxSpanAttributes}, {"max-span-events", l.MaxSpanEvents}, {"max-span-links", l.MaxSpanLinks}, {"max-columns", l.MaxColumns}} {
		if f.value < 0 {
			return fmt.Errorf("--%s %d: want 0 or more", f.flag, f.value)
		}
	}
	if l.MaxAttribute != 0 && l.MaxAttribute < minAttribute {
		return fmt.Errorf("--max-attribute-bytes %s: want at least 1KiB, or 0 for no limit", l.MaxAttribute.String())
	}
	return nil
}

func (l *spanLimits) limits() *store.Limits {
	return &store.Limits{Attributes: l.MaxSpanAttributes, AttributeBytes: int(l.MaxAttribute), Events: l.MaxSpanEvents, Links: l.MaxSpanLinks, Columns: l.MaxColumns}
}
