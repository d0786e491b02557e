package program

import (
	"fmt"
	"io"
	"reflect"
	"slices"

	"github.com/alecthomas/kong"
)

// `up` passes flags to its child processes by one mechanism. `up` and a child's command declare the same flag,
// usually by embedding the same struct; handOn walks the child's flags and passes on the value that `up` has. A
// new flag is a field of such a struct and nothing else.
//
// A child inherits the environment of `up`. So handOn first determines the values that the child would have
// anyway, and passes on only those that differ. This keeps command lines short enough to read in ps.
//
// The tag `secret:""` marks a flag that may hold a password. Its value travels in
// the flag's environment variable, since other users can read command lines.

// handedOn is the part of a child's command line and environment that sets its flags.
type handedOn struct{ args, env []string }

// handOn returns the arguments and variables that set the child command's flags to the values that from has
// under the same name, or under an alias of the child's flag.
func handOn(from *kong.Node, child string) (h handedOn, err error) {
	parser, err := newParser(child, io.Discard, io.Discard)
	if err != nil {
		return h, err
	}
	alone, err := parser.Parse([]string{child}) // as the child will with this environment
	if err != nil {
		return h, fmt.Errorf("prepare the flags of %s: %w", child, err)
	}
	for _, to := range alone.Selected().Flags {
		given := sameFlag(from.Flags, to)
		if given == nil {
			continue
		}
		if secret := to.Tag.Has("secret"); secret && len(to.Envs) > 0 {
			h.addSecret(given, to)
			continue
		}
		want := flagArgs(to.Name, given)
		if !slices.Equal(want, flagArgs(to.Name, to)) {
			h.args = append(h.args, want...)
		}
	}
	return h, nil
}

func sameFlag(flags []*kong.Flag, to *kong.Flag) *kong.Flag {
	for _, f := range flags {
		if f.Name == to.Name || slices.Contains(to.Aliases, f.Name) {
			return f
		}
	}
	return nil
}

func (h *handedOn) addSecret(given, to *kong.Flag) {
	texts := flagTexts(given)
	if len(texts) == 0 {
		return
	}
	h.env = append(h.env, to.Envs[0]+"="+kong.JoinEscaped(texts, given.Tag.Sep))
}

// flagArgs returns the arguments that set a flag to f's value. An empty list or map has none: no flag has a
// default that only an empty value could override.
func flagArgs(name string, f *kong.Flag) (args []string) {
	for _, text := range flagTexts(f) {
		args = append(args, "--"+name+"="+text)
	}
	return args
}

// flagTexts returns f's value as texts that its parser reads: one text, or one for each element.
func flagTexts(f *kong.Flag) (texts []string) {
	v := f.Target
	switch {
	case v.Kind() == reflect.Slice:
		for i := range v.Len() {
			texts = append(texts, escaped(text(v.Index(i)), f.Tag.Sep))
		}
	case v.Kind() == reflect.Map:
		for _, key := range v.MapKeys() {
			texts = append(texts, escaped(text(key)+"="+text(v.MapIndex(key)), f.Tag.MapSep))
		}
		slices.Sort(texts)
	case v.Kind() == reflect.Pointer && v.IsNil():
	default:
		texts = []string{text(v)}
	}
	return texts
}

// escaped prevents the parser from splitting an element; -1 means it never splits.
func escaped(element string, separator rune) string {
	if separator == -1 {
		return element
	}
	return kong.JoinEscaped([]string{element}, separator)
}

// text formats one value. Types with their own format on the command line implement String.
func text(v reflect.Value) string {
	if v.CanAddr() {
		if s, ok := v.Addr().Interface().(fmt.Stringer); ok {
			return s.String()
		}
	}
	return fmt.Sprint(v.Interface())
}
