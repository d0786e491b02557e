package assert

import (
	"reflect"
	"strings"
)

// fieldNames returns the YAML names of a struct's fields.
func fieldNames(pointer any) (names []string) {
	t := reflect.TypeOf(pointer).Elem()
	for i := range t.NumField() {
		if name, _, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ","); name != "" {
			names = append(names, name)
		}
	}
	return names
}
