package layout

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Dedicated is an attribute with a column of its own.
type Dedicated struct {
	Scope   string   `json:"s,omitempty"` // "" or span, resource, event
	Name    string   `json:"n"`
	Type    string   `json:"t,omitempty"` // "" or string, int
	Options []string `json:"o,omitempty"` // array, blob
}

// Int reports whether the column has ints, not strings.
func (d Dedicated) Int() bool { return d.Type == "int" }

// Blob reports whether the column has no dictionary.
func (d Dedicated) Blob() bool { return slices.Contains(d.Options, "blob") }

func (d Dedicated) owner() Owner {
	switch d.Scope {
	case "resource":
		return OfResource
	case "event":
		return OfEvent
	}
	return OfSpan
}

func (d Dedicated) check() error {
	switch {
	case d.Name == "":
		return errors.New("a dedicated column has no name")
	case !slices.Contains([]string{"", "span", "resource", "event"}, d.Scope):
		return fmt.Errorf("dedicated column %s: scope %q is unknown: want span, resource or event", d.Name, d.Scope)
	case !slices.Contains([]string{"", "string", "int"}, d.Type):
		return fmt.Errorf("dedicated column %s: type %q is unknown: want string or int", d.Name, d.Type)
	}
	return nil
}

// ParseDedicated parses an attribute of a flag or configuration: its scope, a dot and its name, as in
// span.http.route. The suffix :int means ints; :blob means texts that seldom repeat.
func ParseDedicated(text string) (d Dedicated, err error) {
	full, option, _ := strings.Cut(text, ":")
	scope, name, ok := strings.Cut(full, ".")
	if !ok || name == "" || !slices.Contains([]string{"span", "resource", "event"}, scope) {
		return d, fmt.Errorf("attribute %q: want span., resource. or event. and its name, as in span.http.route", text)
	}
	d = Dedicated{Name: name}
	if scope != "span" {
		d.Scope = scope
	}
	switch option {
	case "":
	case "int":
		d.Type = option
	case "blob":
		d.Options = []string{option}
	default:
		return d, fmt.Errorf("attribute %q: %q is unknown: want int, blob or nothing behind the colon", text, option)
	}
	return d, nil
}

// Allowed returns the dedicated columns that a format can have: it drops attributes for which vParquet4 has
// static columns or that it cannot store, and attributes beyond the spare columns.
func (f Format) Allowed(all []Dedicated) (some []Dedicated) {
	used := map[Owner][2]int{}
	for _, d := range all {
		n, of := used[d.owner()], d.owner()
		kind, most := 0, SpareStrings
		if d.Int() {
			kind, most = 1, SpareInts
		}
		if f == VParquet4 {
			if most = spareColumns; d.Int() || len(d.Options) > 0 || of == OfEvent || isStatic(of, d.Name) {
				continue
			}
		}
		if of == OfResource && d.Name == ServiceKey || n[kind] >= most {
			continue
		}
		n[kind]++
		used[of] = n
		some = append(some, d)
	}
	return some
}

// isStatic reports whether vParquet4 has a column for an attribute anyway.
func isStatic(of Owner, key string) bool {
	statics := spanStatics
	if of == OfResource {
		statics = resourceStatics
	}
	return slices.ContainsFunc(statics, func(s static) bool { return s.key == key })
}
