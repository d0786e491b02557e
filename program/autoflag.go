package program

import (
	"fmt"
	"strconv"
)

// auto is the value of a flag whose bound follows the memory; see memory.go.
const auto = -1

// autoBytes is a size on the command line, or auto.
type autoBytes int64

// UnmarshalText implements encoding.TextUnmarshaler.
func (b *autoBytes) UnmarshalText(text []byte) error {
	if string(text) == "auto" {
		*b = auto
		return nil
	}
	return (*bytesFlag)(b).UnmarshalText(text)
}

func (b *autoBytes) String() string {
	if *b == auto {
		return "auto"
	}
	return (*bytesFlag)(b).String()
}

// autoCount is a number of at least 1 on the command line, or auto.
type autoCount int

// UnmarshalText implements encoding.TextUnmarshaler.
func (c *autoCount) UnmarshalText(text []byte) error {
	if string(text) == "auto" {
		*c = auto
		return nil
	}
	n, err := strconv.Atoi(string(text))
	if err != nil || n < 1 {
		return fmt.Errorf("%q: want a number of at least 1, or auto", text)
	}
	*c = autoCount(n)
	return nil
}

func (c *autoCount) String() string {
	if *c == auto {
		return "auto"
	}
	return strconv.Itoa(int(*c))
}
