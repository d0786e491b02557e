package write

import "etude/trace"

// texts numbers the texts of all sources: each dictionary has a range of numbers, and texts that are in no
// dictionary follow. So the number of a text is its code plus the dictionary's base, and needs no lookup.
//
// If several dictionaries have the same text, it has several numbers. In the dictionary of a column and in
// counts by service a text needs one canonical number: see same. Most texts that differ from span to span have
// a column without a dictionary, and are never compared.
//
// Rejected: one number for each text. The writer then had to look up every text of all dictionaries but one,
// which took a sixth of the time of a block.
type texts struct {
	dicts []*trace.Dict
	bases []uint32 // of each dictionary; multiples of textRange
	owner []uint16 // by number >> textBits: the dictionary
	base  uint32   // numbers from here on are in list
	list  []string
	known map[string]uint32 // text -> its canonical number; without the texts of the first dictionary
	one   []uint32          // number -> canonical number of its text + 1; 0: not known; for numbers below base
}

const (
	textBits  = 10
	textRange = 1 << textBits
)

// newTexts numbers the texts of some sources, and sets their bases.
func newTexts(sources []*source) *texts {
	t := &texts{known: map[string]uint32{}}
	dict, last := make([]int, len(sources)), map[int]int{} // by source and by input: the dictionary
	for i, s := range sources {
		strings := &s.v.Strings
		if at, ok := last[s.input]; ok && strings.Extends(t.dicts[at]) {
			t.dicts[at], dict[i] = strings, at
			continue
		}
		dict[i], last[s.input] = len(t.dicts), len(t.dicts)
		t.dicts = append(t.dicts, strings)
	}
	for i, d := range t.dicts {
		t.bases = append(t.bases, t.base)
		for range (d.Len() + textRange - 1) / textRange {
			t.owner = append(t.owner, uint16(i))
			t.base += textRange
		}
	}
	for i, s := range sources {
		s.base = t.bases[dict[i]]
	}
	return t
}

// textOf returns the number of a dictionary code. "" is 0 in all sources.
func (s *source) textOf(code uint32) uint32 {
	if code == 0 {
		return 0
	}
	return s.base + code
}

// number returns the canonical number of a text. The caller must not change the text.
func (t *texts) number(s string) uint32 {
	n, ok := t.find(s)
	if !ok {
		n = t.base + uint32(len(t.list))
		t.list, t.known[s] = append(t.list, s), n
	}
	return n
}

func (t *texts) find(s string) (uint32, bool) {
	if code, ok := t.dicts[0].Find(s); ok {
		return code, true
	}
	n, ok := t.known[s]
	return n, ok
}

// same returns the canonical number of a number's text.
func (t *texts) same(n uint32) uint32 {
	if n < t.base && t.owner[n>>textBits] == 0 || n >= t.base { // Fast path
		return n
	}
	if t.one != nil && t.one[n] != 0 { // Fast path
		return t.one[n] - 1
	}
	s := t.get(n)
	one, ok := t.find(s)
	if !ok {
		one, t.known[s] = n, n
	}
	if t.one == nil {
		t.one = make([]uint32, t.base)
	}
	t.one[n] = one + 1
	return one
}

// len is above all numbers.
func (t *texts) len() int { return int(t.base) + len(t.list) }

func (t *texts) get(n uint32) string {
	if n < t.base {
		i := t.owner[n>>textBits]
		return t.dicts[i].Get(n - t.bases[i])
	}
	return t.list[n-t.base]
}
