package trace

// excludes reports that no row of a View in memory meets a condition, as far as its dictionary and the keys of
// its columns show. It reads no rows, so it never excludes by numbers.
func (v *View) excludes(c *Condition) bool {
	switch {
	case c.Of == Names || c.Of == ScopeNames:
		return !v.hasText(c.Texts)
	case c.Of != 0:
		return false
	}
	attrs, hash := v.Attrs(c.Level), hashString(c.Key)
	for t := range numTypes {
		if _, ok := attrs.numberOf(hash, c.Key, t); ok && (c.Texts == nil || t != String || v.hasText(c.Texts)) {
			return false
		}
	}
	return true
}

// hasText reports whether the dictionary has one of the texts. texts must not be empty.
func (v *View) hasText(texts []string) bool {
	for _, text := range texts {
		if _, ok := v.Strings.Find(text); ok {
			return true
		}
	}
	return len(texts) == 0
}
