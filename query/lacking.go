package query

import (
	"slices"

	"etude/trace"
)

// maxLacking bounds the filters of which a part is known to have no span. The newest are kept.
const maxLacking = 16

// lackBytes estimates the memory of a filter's text besides its bytes.
const lackBytes = 16

// Lacks reports whether no span of a part meets a filter, as far as that was recorded.
func (c *factCache) Lacks(id trace.PartID, filter string) bool {
	c.mu.Lock()
	f := c.parts[id]
	c.mu.Unlock()
	if f == nil {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Contains(f.lacking, filter)
}

// KeepLacking records that no span of a part meets a filter.
func (c *factCache) KeepLacking(id trace.PartID, filter string) {
	f := c.of(id)
	f.mu.Lock()
	defer f.mu.Unlock()
	if slices.Contains(f.lacking, filter) {
		return
	}
	if len(f.lacking) == maxLacking {
		c.count(f, -lackBytes-len(f.lacking[0]))
		f.lacking = slices.Delete(f.lacking, 0, 1)
	}
	f.lacking = append(f.lacking, filter)
	c.count(f, lackBytes+len(filter))
}
