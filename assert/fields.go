package assert

import (
	"reflect"
	"strings"
)

// fieldNames are the names that YAML has for the fields of a struct.
func fieldNames(pointer any) (names []string) {
	t := reflect.TypeOf(pointer).Elem()
	for i := range t.NumField() {
		if name, _, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ","); name != "" {
			names = append(names, name)
		}
	}
	return names
}
