// Package flags declares the types of etude's flag values: sizes with a unit, and limits that may be auto.
package flags

import (
	"fmt"
	"strconv"
	"time"
)

// Auto is the value of a flag set to auto; memory.go computes the limit.
const Auto = -1

// AutoBytes is a size, or auto.
type AutoBytes int64

// UnmarshalText implements encoding.TextUnmarshaler.
func (b *AutoBytes) UnmarshalText(text []byte) error {
	if string(text) == "auto" {
		*b = Auto
		return nil
	}
	return (*Bytes)(b).UnmarshalText(text)
}

func (b *AutoBytes) String() string {
	if *b == Auto {
		return "auto"
	}
	return (*Bytes)(b).String()
}

// AutoCount is a number of at least 1, or auto.
type AutoCount int

// UnmarshalText implements encoding.TextUnmarshaler.
func (c *AutoCount) UnmarshalText(text []byte) error {
	if string(text) == "auto" {
		*c = Auto
		return nil
	}
	n, err := strconv.Atoi(string(text))
	if err != nil || n < 1 {
		return fmt.Errorf("%q: want a number of at least 1, or auto", text)
	}
	*c = AutoCount(n)
	return nil
}

func (c *AutoCount) String() string {
	if *c == Auto {
		return "auto"
	}
	return strconv.Itoa(int(*c))
}

// AutoDuration is a duration, or auto.
type AutoDuration time.Duration

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *AutoDuration) UnmarshalText(text []byte) error {
	if string(text) == "auto" {
		*d = Auto
		return nil
	}
	v, err := time.ParseDuration(string(text))
	if err != nil || v < 0 {
		return fmt.Errorf("%q: want a duration such as 1h or 168h, 0, or auto", text)
	}
	*d = AutoDuration(v)
	return nil
}

func (d *AutoDuration) String() string {
	if *d == Auto {
		return "auto"
	}
	return time.Duration(*d).String()
}
