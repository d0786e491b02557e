package backend

import (
	"fmt"

	"etude/program/flags"
	"etude/store"
)

// minAttribute is the smallest bound on an attribute's bytes that can be kept.
const minAttribute = 1 << 10

// spanLimits bound the contents of one span. Excess is dropped, and the span is kept.
type spanLimits struct {
	MaxSpanAttributes int         `name:"max-span-attributes" env:"ETUDE_MAX_SPAN_ATTRIBUTES" default:"1024" help:"Most attributes of one span, resource, scope, event or link. Excess ones are dropped, and counted in the span as SDKs do. 0 lifts the limit."`
	MaxSpanEvents     int         `name:"max-span-events" env:"ETUDE_MAX_SPAN_EVENTS" default:"4096" help:"Most events of one span; excess ones are dropped and counted. 0 lifts the limit."`
	MaxSpanLinks      int         `name:"max-span-links" env:"ETUDE_MAX_SPAN_LINKS" default:"4096" help:"Most links of one span; excess ones are dropped and counted. 0 lifts the limit."`
	MaxAttribute      flags.Bytes `name:"max-attribute-bytes" env:"ETUDE_MAX_ATTRIBUTE_BYTES" default:"64KiB" help:"Cut a longer attribute, and mark it: [cut, was N bytes]. At least 1KiB; 0 lifts the limit."`
	MaxColumns        int         `name:"max-columns" env:"ETUDE_MAX_COLUMNS" default:"2048" help:"Attribute keys that have memory of their own in a table of some ten thousand spans. More keys, such as ids used as keys, share memory: queries that name one of them are slower. 0 lifts the limit."`
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
